"""The tests and the staff note of a reply: parsing, and the learner's table. Pure.

Both are extensions of the XQueue protocol. Neither is worth a grade: what is malformed is ignored,
and what is too long is shortened, with a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xqueue_bridge.data import GradedTest
from xqueue_bridge.grader_replies.feedback import as_text, clean_text, escaped
from xqueue_bridge.protocol.codes import Code
from xqueue_bridge.protocol.reply_warnings import ReplyWarning

#: Members of a reply that only this server reads. ``max_score`` is of the client library.
MEMBERS = frozenset({"tests", "staff_note", "max_score"})

MAX_TESTS = 200
MAX_NAME = 200
MAX_MESSAGE = 4_000
#: Of all names and messages together.
MAX_CHARACTERS = 100_000
MAX_NOTE = 10_000
#: Points that every database and spreadsheet stores without loss.
MAX_POINTS = 1e9
#: Begins the table in the learner's feedback.
TABLE_START = '<div class="external-grader-tests">'


@dataclass(frozen=True, slots=True)
class TableTexts:
    """The texts of the learner's table; ``hidden`` contains ``%(count)d``."""

    caption: str = "Tests"
    test: str = "Test"
    points: str = "Points"
    of: str = "%(score)s of %(maximum)s"
    message: str = "Message"
    hidden: str = "Tests that are not shown: %(count)d"


class _Malformed(ValueError):
    """The member at fault."""


def parse_tests(given: object, warnings: list[ReplyWarning]) -> tuple[GradedTest, ...]:
    """Return the tests of a reply, and append to ``warnings``; no tests if one is malformed.

    A table that silently lacks a test would mislead, and a test whose ``visible`` cannot be read
    could show what is hidden.
    """
    try:
        if not isinstance(given, list):
            raise _Malformed("tests")
        kept = [_test(each, f"tests[{n}]") for n, each in enumerate(given[:MAX_TESTS])]
    except _Malformed as exc:
        warnings.append(ReplyWarning(Code.TESTS_IGNORED, "tests", {"member": str(exc)}))
        return ()
    tests = tuple(_within_limits(kept))
    if len(kept) < len(given) or list(tests) != kept:
        data = {"tests": len(given), "kept": len(kept), "characters": MAX_CHARACTERS}
        warnings.append(ReplyWarning(Code.TESTS_SHORTENED, "tests", data))
    return tests


def parse_staff_note(given: object, warnings: list[ReplyWarning]) -> str:
    """Return the note for staff, and append to ``warnings``; "" if it is no text."""
    if not isinstance(given, str):
        warnings.append(ReplyWarning(Code.STAFF_NOTE_IGNORED, "staff_note"))
        return ""
    note = clean_text(given)
    if len(note) > MAX_NOTE:
        sizes = {"characters": len(note), "kept": MAX_NOTE}
        warnings.append(ReplyWarning(Code.STAFF_NOTE_SHORTENED, "staff_note", sizes))
    return note[:MAX_NOTE]


def table_of(tests: Sequence[GradedTest], texts: TableTexts) -> str:
    """Return the learner's table of the visible tests as well-formed markup; "" without tests."""
    if not tests:
        return ""
    visible = [test for test in tests if test.visible]
    hidden = len(tests) - len(visible)
    note = f"<p>{escaped(texts.hidden % {'count': hidden})}</p>" if hidden else ""
    if not visible:
        return f"{TABLE_START}{note}</div>"
    heads = (texts.test, texts.points, texts.message)
    head = "".join(f'<th scope="col">{escaped(text)}</th>' for text in heads)
    rows = "".join(_row(test, texts) for test in visible)
    return (
        f"{TABLE_START}<table><caption>{escaped(texts.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}</div>"
    )


def _row(test: GradedTest, texts: TableTexts) -> str:
    points = texts.of % {"score": f"{test.score:g}", "maximum": f"{test.max_score:g}"}
    message = as_text(test.message) if test.message else ""
    name = escaped(test.name) if test.name.strip() else "-"
    return f'<tr><th scope="row">{name}</th><td>{escaped(points)}</td><td>{message}</td></tr>'


def _test(given: object, where: str) -> GradedTest:
    if not isinstance(given, dict):
        raise _Malformed(where)
    visible = given.get("visible", True)
    if not isinstance(visible, bool):
        raise _Malformed(f"{where}.visible")
    return GradedTest(
        name=_text(given, "name", where),
        score=_points(given, "score", where),
        max_score=_points(given, "max_score", where),
        message=_text({"message": "", **given}, "message", where),
        visible=visible,
    )


def _text(given: Mapping[str, object], name: str, where: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise _Malformed(f"{where}.{name}")
    return clean_text(value)


def _points(given: Mapping[str, object], name: str, where: str) -> float:
    value = given.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= MAX_POINTS:  # type: ignore[operator]
        raise _Malformed(f"{where}.{name}")
    return value  # type: ignore[return-value]


def _within_limits(tests: Iterable[GradedTest]) -> Iterable[GradedTest]:
    left = MAX_CHARACTERS
    for test in tests:
        name = test.name[: min(MAX_NAME, left)]
        left = max(left - len(name), 0)
        message = test.message[: min(MAX_MESSAGE, left)]
        left -= len(message)
        yield GradedTest(name, test.score, test.max_score, message, test.visible)
