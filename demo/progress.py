"""A learner's progress at a problem, read from the state and from the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from demo.course import Problem
from xqueue_bridge import api
from xqueue_bridge.submission_queue import api as submission_queue


class Stage(StrEnum):
    """The stage of one answer."""

    UNANSWERED = "unanswered"
    WAITING = "waiting"
    GRADING = "grading"
    GRADED = "graded"
    NOT_SENT = "not-sent"


@dataclass(frozen=True)
class Part:
    """One answer of a problem, in points of the grade: the problem's weight is counted in.

    ``position`` is 1 for the next one that a grader takes.
    """

    number: int
    possible: float
    stage: Stage = Stage.UNANSWERED
    earned: float = 0
    correct: bool = False
    position: int | None = None
    feedback: str = ""

    @property
    def busy(self) -> bool:
        """Return whether a grader still works on the answer or will do so."""
        return self.stage in (Stage.WAITING, Stage.GRADING)

    @property
    def mark(self) -> str:
        """Return ``right``, ``partly`` or ``wrong`` if it is graded, else the stage."""
        if self.stage != Stage.GRADED:
            return self.stage
        return "right" if self.correct else "partly" if self.earned else "wrong"


@dataclass(frozen=True)
class Progress:
    """All answers of a problem, and the number of attempts."""

    parts: tuple[Part, ...]
    attempts: int

    @property
    def busy(self) -> bool:
        return any(part.busy for part in self.parts)

    @property
    def earned(self) -> float:
        return sum(part.earned for part in self.parts)

    @property
    def possible(self) -> float:
        return sum(part.possible for part in self.parts)

    @property
    def mark(self) -> str:
        """Return the mark of the whole problem: an open part counts before a graded one."""
        marks = {part.mark for part in self.parts}
        for mark in (Stage.WAITING, Stage.GRADING, Stage.NOT_SENT, Stage.UNANSWERED):
            if mark in marks:
                return mark
        return marks.pop() if len(marks) == 1 else "partly"


def progress(user_id: int, problem: Problem) -> Progress:
    """Return a learner's progress at a problem, with the position in the queue."""
    usage_key = problem.usage_key
    state = api.read_state(user_id, usage_key, usage_key.context_key) or {}
    queue_positions = _positions(user_id, problem) if is_queued(state) else {}
    return Progress(parts_of(problem, state, queue_positions), state.get("attempts", 0))


def is_queued(state: Mapping[str, Any]) -> bool:
    """Return whether a state waits for a grader."""
    return any(entry.get("queuestate") for entry in state.get("correct_map", {}).values())


def parts_of(
    problem: Problem,
    state: Mapping[str, Any],
    queue_positions: Mapping[str, tuple[Stage, int | None]] | None = None,
) -> tuple[Part, ...]:
    """Return the parts of a state; ``queue_positions`` are those of open parts, by queue key."""
    entries = sorted(state.get("correct_map", {}).items(), key=lambda item: _number(item[0]))
    if not entries:
        return tuple(Part(n, points * problem.worth) for n, points in enumerate(problem.points, 1))
    return tuple(
        _part(n, points, problem.worth, entry, queue_positions or {})
        for n, (points, (_, entry)) in enumerate(zip(problem.points, entries, strict=True), 1)
    )


def _part(
    number: int,
    points: int,
    worth: float,
    entry: Mapping[str, Any],
    queue_positions: Mapping[str, tuple[Stage, int | None]],
) -> Part:
    possible = points * worth
    if entry.get("queuestate"):
        # No open submission has the key: its reply is stored and not yet applied.
        stage, position = queue_positions.get(entry["queuestate"]["key"], (Stage.GRADING, None))
        return Part(number, possible, stage, position=position)
    feedback = entry.get("msg") or ""
    if entry.get("correctness") is None:
        return Part(number, possible, Stage.NOT_SENT, feedback=feedback)
    return Part(
        number,
        possible,
        Stage.GRADED,
        earned=(entry.get("npoints") or 0) * worth,
        correct=entry["correctness"] == "correct",
        feedback=feedback,
    )


def _positions(user_id: int, problem: Problem) -> dict[str, tuple[Stage, int | None]]:
    """Return stage and position of the learner's open submissions to a problem, by queue key."""
    return {
        mine.queue_key: (Stage.WAITING if mine.position else Stage.GRADING, mine.position)
        for mine in submission_queue.queue_positions(user_id, problem.usage_key)
    }


def _number(answer_id: str) -> int:
    """Return the number in an answer id: 2 in ``fizzbuzz_2_1``, which is the first response's."""
    return int(answer_id.rsplit("_", 2)[1])
