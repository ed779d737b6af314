"""Commands and code of the pages about installation, as they are printed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TITLE = re.compile(r"^(.+)\n(-|\*){3,}$", re.MULTILINE)
_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One command of a page, and the output that the page prints below it."""

    line: str
    output: str


@dataclass(frozen=True)
class Section:
    """One section of a page: its blocks of code, in order, without their indentation."""

    blocks: tuple[tuple[str, str], ...]

    def code(self) -> list[str]:
        return [text for kind, text in self.blocks if kind == "python"]

    def commands(self) -> list[Command]:
        """Return the commands of all console blocks; a command begins with "$ "."""
        found: list[Command] = []
        for kind, text in self.blocks:
            if kind != "console":
                continue
            for line in text.splitlines():
                if line.startswith("$ "):
                    found.append(Command(line[2:], ""))
                elif line and not line.startswith("#"):
                    last = found.pop()
                    found.append(Command(last.line, f"{last.output}{line}\n"))
        return found


def section(path: str, title: str) -> Section:
    """Return the section of a page with this title."""
    text = (ROOT / path).read_text(encoding="utf-8")
    titles = list(_TITLE.finditer(text))
    [number] = [n for n, each in enumerate(titles) if each[1] == title]
    end = titles[number + 1].start() if number + 1 < len(titles) else len(text)
    body = text[titles[number].end() : end]
    blocks = [
        (kind, re.sub(r"^ {4}", "", code, flags=re.MULTILINE))
        for kind, code in _BLOCK.findall(body)
    ]
    return Section(tuple((kind, code.strip() + "\n") for kind, code in blocks))
