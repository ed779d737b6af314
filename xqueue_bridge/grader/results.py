"""What a grader returns: points, a message and tests; and the XQueue reply made of it. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from xqueue_bridge.data import GradedTest
from xqueue_bridge.grader_replies.graded_tests import TableTexts, table_of
from xqueue_bridge.protocol.fields import is_finite

#: Characters that XML cannot contain; a learner's program can print them.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class Test:
    """One test of an answer.

    ``message`` is plain text for the learner. With ``visible=False`` the learner sees neither the
    name nor the message; the points count all the same.
    """

    __test__ = False  # not one of pytest's

    name: str
    score: float
    max_score: float = 1.0
    message: str = ""
    visible: bool = True

    def __post_init__(self) -> None:
        _check_points(f"test {self.name!r}", self.score, self.max_score)

    @property
    def passed(self) -> bool:
        """Whether the test gave all of its points."""
        return self.score >= self.max_score


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one answer.

    ``score`` and ``max_score`` are points; ``message`` is plain text, or HTML with
    ``message_is_html``. ``staff_note`` is for staff, never shown to the learner. ValueError
    names the field that is not a finite number or out of range.
    """

    score: float
    max_score: float = 1.0
    message: str = ""
    tests: Sequence[Test] = ()
    staff_note: str = ""
    message_is_html: bool = False
    extra: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_points("result", self.score, self.max_score)

    @classmethod
    def of_tests(cls, tests: Iterable[Test], message: str = "", **more: Any) -> Result:
        """Return the result whose points are the sums of the tests'."""
        every = tuple(tests)
        return cls(
            score=sum(test.score for test in every),
            max_score=sum(test.max_score for test in every),
            message=message or f"{sum(t.passed for t in every)} of {len(every)} tests passed",
            tests=every,
            **more,
        )

    @property
    def correct(self) -> bool:
        """Whether the answer has all points."""
        return self.score >= self.max_score

    def to_reply(self, *, as_fraction: bool = False, as_data: bool = True) -> dict[str, object]:
        """Return the XQueue reply: ``correct``, ``score``, ``msg``, and the tests as data.

        ``as_fraction``: the score is a part of 1, for a queue with ``SCORE_SCALE`` "fraction"
        and for problems whose points differ from ``max_score``. Without ``as_data``, for a server
        that does not read tests, they are a table in ``msg``, and the staff note is left out.
        """
        score = self.score / self.max_score if as_fraction and self.max_score else self.score
        reply: dict[str, object] = {"correct": self.correct, "score": score, "msg": self.to_html()}
        if not as_data:
            return reply
        reply |= {"msg": self._message_html(), "max_score": 1.0 if as_fraction else self.max_score}
        if self.tests:
            reply["tests"] = [
                {
                    "name": test.name,
                    "score": test.score,
                    "max_score": test.max_score,
                    "message": test.message,
                    "visible": test.visible,
                }
                for test in self.tests
            ]
        if self.staff_note:
            reply["staff_note"] = self.staff_note
        return reply

    def to_html(self) -> str:
        """Return the learner's feedback: the message, and a table of the visible tests."""
        tests = [
            GradedTest(test.name, test.score, test.max_score, test.message, test.visible)
            for test in self.tests
        ]
        return self._message_html() + table_of(tests, TableTexts())

    def _message_html(self) -> str:
        return f"<div>{self.message if self.message_is_html else _paragraphs(self.message)}</div>"


def escape(text: str) -> str:
    """Return text of any origin as HTML text."""
    return html.escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text))


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line.strip())


def _check_points(what: str, score: float, max_score: float) -> None:
    for name, value in (("score", score), ("max_score", max_score)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{what}: {name} is not a number")
        if not is_finite(value):
            raise ValueError(f"{what}: {name} is not finite")
        if value < 0:
            raise ValueError(f"{what}: {name} is below 0")
    if score > max_score:
        raise ValueError(f"{what}: score {score:g} is above max_score {max_score:g}")
