"""Find denied terms in docstrings, comments, strings, names, pages and paths.

``python -m tests.language`` prints each finding and exits with 1 if there is one; ``make lint`` and
``test_language.py`` run it. ``docs/references/glossary.rst`` has the terms to use.
"""

from __future__ import annotations

import functools
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from tests.language_rules import EXCEPTIONS, RULES

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("xqueue_bridge", "tests", "demo", "benchmarks", "docs", "contrib", ".ci", ".github")
SUFFIXES = (".py", ".rst", ".html", ".js", ".css", ".txt", ".xml", ".json", ".yml", ".yaml", ".md")
#: Not ours, generated, or these rules themselves.
SKIPPED = (
    "*/node_modules/*",
    "*/_build/*",
    "*/__pycache__/*",
    "xqueue_bridge/migrations/*",
    "xqueue_bridge/locale/*",
    "demo/editor/package-lock.json",
    "demo/static/demo/editor*",
    "docs/references/conformance.rst",
    "docs/references/course_structure.schema.json",
    "tests/language_rules.py",
    "tests/test_language.py",
)
#: In a phrase, any space of a rule also matches a line end with the next line's comment mark.
GAP = r"(?:\s|#:?\s|//\s)+"


@dataclass(frozen=True)
class Finding:
    """A denied term: its rule, file and line, the text as written, and the text around it."""

    rule: str
    path: str
    line: int
    found: str
    context: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.found!r}: {RULES[self.rule].instead}"


def main() -> int:
    """Print every finding in the repository; return the exit code."""
    findings = find_all()
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def find_all() -> list[Finding]:
    """Return the findings in all files, without those that an exception allows."""
    return [each for each in find_allowed_too() if exception_for(each) is None]


@functools.cache
def find_allowed_too() -> list[Finding]:
    """Return the findings in all files, and those that an exception allows."""
    return [each for path, source in sources() for each in find(path, source)]


def sources() -> tuple[tuple[str, str], ...]:
    """Return the path, relative to the repository, and content of every file to search."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    paths += sorted(path for path in ROOT.iterdir() if path.suffix in (".rst", ".toml", ".py"))
    paths += [ROOT / "Makefile"]
    kept = []
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        is_text = path.suffix in SUFFIXES or path.parent.name == ".ci" or path.parent == ROOT
        if is_text and path.is_file() and not any(fnmatch(name, each) for each in SKIPPED):
            kept.append((name, path.read_text(encoding="utf-8")))
    return tuple(kept)


def find(path: str, source: str) -> Iterator[Finding]:
    """Yield the findings in one file, and in its path (as line 0)."""
    yield from _find_in(path, 0, path.replace("/", " "))
    if not path.endswith(".py"):
        yield from _find_in(path, 1, source)
        return
    prose, names = _split_python(source)
    yield from _find_in(path, 1, prose)
    yield from _find_in(path, 1, names, is_name=True)


def exception_for(finding: Finding) -> int | None:
    """Return the index of the exception in EXCEPTIONS that allows ``finding``, or None."""
    for index, (rule, glob, pattern, _reason) in enumerate(EXCEPTIONS):
        if rule != finding.rule or not fnmatch(finding.path, glob):
            continue
        if re.search(pattern.replace(" ", GAP), finding.context):
            return index
    return None


def _find_in(path: str, line: int, text: str, *, is_name: bool = False) -> Iterator[Finding]:
    text = _split_names(text).lower()
    if not _compiled("|".join(rule.pattern for rule in RULES.values())).search(text):
        return  # as in nine of ten texts: one search instead of one for each rule
    for name, rule in RULES.items():
        searches = rule.in_names if is_name else rule.in_prose
        if not searches or any(fnmatch(path, each) for each in rule.except_in):
            continue
        searched = _compiled(rule.unless).sub(_blank, text) if rule.unless else text
        for match in _compiled(rule.pattern).finditer(searched):
            at = line + text.count("\n", 0, match.start())
            context = text[max(0, match.start() - 60) : match.end() + 60]
            yield Finding(name, path, at, match.group(), context)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern.replace(' ', GAP)})\b")


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"\S", " ", match.group())


def _split_names(text: str) -> str:
    """Return ``text`` with the words of names apart: "find_all" -> "find all"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text.replace("_", " "))


def _split_python(source: str) -> tuple[str, str]:
    """Return the comments and strings of Python code, and its names, each on its own line."""
    height = source.count("\n") + 2
    prose: list[list[str]] = [[] for _ in range(height)]
    names: list[list[str]] = [[] for _ in range(height)]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "NAME":
            names[token.start[0] - 1].append(token.string)
        elif kind in ("COMMENT", "STRING", "FSTRING_MIDDLE"):
            for offset, text in enumerate(token.string.split("\n")):
                prose[token.start[0] - 1 + offset].append(text)
    return (
        "\n".join(" | ".join(line) for line in prose),
        "\n".join(" ".join(line) for line in names),
    )


if __name__ == "__main__":
    sys.exit(main())
