"""Write docs/references/conformance.rst: the conformance statements and the tests that cite them.

A test, or a class of tests, cites statements in the first line of its docstring:
``C80, SG39: ...``. Run this file after such a line has changed; tests/test_project.py fails until
the page agrees with the tests. conformance_statements.txt has one statement in each line.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "references" / "conformance.rst"
STATEMENTS = ROOT / "docs" / "conformance_statements.txt"
#: Folders with tests: of this project, and those that the package offers for other state clients.
FOLDERS = (ROOT / "tests", ROOT / "xqueue_bridge" / "testing")
CITATION = re.compile(r"((?:C|SG)\d+(?:, (?:C|SG)\d+)*): \S")

INTRODUCTION = """\
.. Written by docs/conformance_table.py from the tests' docstrings. Do not edit.

Conformance
###########

Numbered statements that problem blocks, XQueue servers, graders, learners and operators can rely
on, and the tests that cite each of them. ``pytest -k`` selects a test by its name. Tests in
``xqueue_bridge/testing`` are for every state client; they run in the classes that inherit them.
"""


def lines() -> Iterator[tuple[str, str]]:
    """Yield each line as ("C1", its text); a heading as ("*" or "=", its text)."""
    for line in STATEMENTS.read_text(encoding="utf-8").splitlines():
        if line:
            first, _, text = line.partition(" ")
            yield first, text


def statements() -> list[tuple[str, str]]:
    """Return each statement's name ("C1") and text, in order."""
    return [(name, text) for name, text in lines() if name not in ("*", "=")]


def citations(folders: Collection[Path] = FOLDERS) -> dict[str, list[str]]:
    """Return which tests cite which statement, as ``path::test``, from the docstrings."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in (path for folder in folders for path in sorted(folder.rglob("*.py"))):
        where = path.relative_to(ROOT)
        for test, docstring in _docstrings(ast.parse(path.read_text(encoding="utf-8"))):
            for name in cited(docstring):
                found[name].append(f"{where}::{test}")
    return dict(found)


def cited(docstring: str) -> list[str]:
    """Return the names that a docstring begins with; [] if it cites nothing."""
    match = CITATION.match(docstring)
    return match[1].split(", ") if match else []


def _docstrings(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            if child.name.startswith("Test"):
                yield prefix + child.name, ast.get_docstring(child) or ""
            yield from _docstrings(child, f"{prefix}{child.name}::")
        elif isinstance(child, ast.FunctionDef) and child.name.startswith("test"):
            yield prefix + child.name, ast.get_docstring(child) or ""


def page(found: Mapping[str, list[str]]) -> str:
    """Return the page: every statement with its tests, then the statements without any."""
    parts = [INTRODUCTION]
    headings: dict[str, str] = {}
    for name, text in lines():
        if name == "*":
            headings = {name: text}
        elif name == "=":
            headings[name] = text
        elif name in found:
            parts += [_heading(title, line) for line, title in headings.items()]
            headings = {}
            parts.append(_entry(name, text, found[name]))
    later = [(name, text) for name, text in statements() if name not in found]
    if later:
        parts.append(_heading("Statements without a test", "*"))
        parts.append("No test speaks of these yet.\n")
        parts += [f"{name}\n    {text}\n" for name, text in later]
    return "\n".join(parts)


def _heading(title: str, line: str) -> str:
    return f"{title}\n{line * len(title)}\n"


def _entry(name: str, text: str, tests: list[str]) -> str:
    listed = "\n".join(f"    * ``{test}``" for test in tests)
    return f"{name}\n    {text}\n\n{listed}\n"


def main() -> None:
    PAGE.write_text(page(citations()), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
