"""Each command line in a page is one that the commands of this version accept."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, get_commands, load_command_class

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *(path for path in (ROOT / "docs").rglob("*.rst") if "decisions" not in path.parts),
        *(ROOT / "contrib").rglob("*.rst"),
        ROOT / "README.rst",
        ROOT / "CONTRIBUTING.rst",
    ]
)
#: "$ ... manage.py [lms] NAME ARGUMENTS", of which a page may name several in a line.
LINE = re.compile(r"^ *(?:\([^)]*\) )?\$ (.*manage\.py .*)$", re.MULTILINE)
CALL = re.compile(r"manage\.py (?:lms )?(.*)")


def calls(text: str) -> list[str]:
    """Return the name and arguments of each management command in a page's command lines."""
    found = []
    for line in LINE.findall(text):
        for part in re.split(r"&&|\|\||;", re.sub(r"\s#.*$", "", line)):
            if match := CALL.search(part):
                found.append(re.sub(r"\s*[<>|].*$", "", match.group(1)).strip())
    return found


def error_of(call: str) -> str | None:
    """Return why the command would not accept the arguments; None if it would."""
    name, *arguments = shlex.split(call)
    app = get_commands().get(name)
    if app is None:
        return f"no command {name}"
    parser = load_command_class(str(app), name).create_parser("manage.py", name)
    parser.called_from_command_line = False
    try:
        parser.parse_args(arguments)
    except CommandError as exc:
        return str(exc)
    return None


CALLS = [(page, call) for page in PAGES for call in calls(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("page", "call"), CALLS, ids=[f"{page.stem}: {call}" for page, call in CALLS]
)
def test_command_in_a_page_is_accepted(page: Path, call: str) -> None:
    assert error_of(call) is None


def test_command_lines_are_found() -> None:
    text = """
    $ python manage.py migrate && python manage.py check --database default   # twice
    $ tutor local run lms ./manage.py lms xqueue_bridge_doctor > file
    prose about ``manage.py none``
    """
    assert calls(text) == ["migrate", "check --database default", "xqueue_bridge_doctor"]
    assert len(CALLS) > 50


@pytest.mark.parametrize(
    "call",
    ["xqueue_bridge_gone", "xqueue_bridge_sweep --for-ages", "xqueue_bridge_grader create"],
)
def test_command_that_does_not_exist_is_found(call: str) -> None:
    assert error_of(call) is not None
