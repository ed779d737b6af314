"""A learner's progress at a problem, read from the state and from the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from demo.course import Problem
from xqueue_bridge import api
from xqueue_bridge.api import QueuePosition


class Stage(StrEnum):
    """The stage of one answer."""

    UNANSWERED = "unanswered"
    WAITING = "waiting"
    GRADING = "grading"
    GRADED = "graded"
    NOT_SENT = "not-sent"
    NOT_GRADED = "not-graded"


@dataclass(frozen=True)
class Part:
    """One answer of a problem, in points of the grade: the problem's weight is counted in.

    ``position`` is 1 for the next one that a grader takes. ``has_grader``: a grader pulls from its
    queue.
    """

    number: int
    possible: float
    stage: Stage = Stage.UNANSWERED
    earned: float = 0
    correct: bool = False
    position: int | None = None
    has_grader: bool = True
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
        for mark in (
            Stage.WAITING,
            Stage.GRADING,
            Stage.NOT_SENT,
            Stage.NOT_GRADED,
            Stage.UNANSWERED,
        ):
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


def is_not_graded(state: Mapping[str, Any]) -> bool:
    """Return whether no grader could grade an answer of a state; its attempt does not count."""
    entries = state.get("correct_map", {}).values()
    return any(
        entry.get("correctness") == "incomplete" and not entry.get("queuestate")
        for entry in entries
    )


def parts_of(
    problem: Problem,
    state: Mapping[str, Any],
    queue_positions: Mapping[str, QueuePosition] | None = None,
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
    queue_positions: Mapping[str, QueuePosition],
) -> Part:
    possible = points * worth
    if entry.get("queuestate"):
        # No open submission has the key: its reply is stored and not yet applied.
        found = queue_positions.get(entry["queuestate"]["key"])
        if found is None or found.position is None:
            return Part(number, possible, Stage.GRADING)
        return Part(
            number,
            possible,
            Stage.WAITING,
            position=found.position,
            has_grader=found.has_grader,
        )
    feedback = entry.get("msg") or ""
    if entry.get("correctness") == "incomplete":
        return Part(number, possible, Stage.NOT_GRADED, feedback=feedback)
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


def _positions(user_id: int, problem: Problem) -> dict[str, QueuePosition]:
    """Return the positions of the learner's open submissions to a problem, by queue key."""
    found = api.queue_positions(user_id, problem.usage_key)
    return {mine.queue_key: mine for mine in found}


def _number(answer_id: str) -> int:
    """Return the number in an answer id: 2 in ``fizzbuzz_2_1``, which is the first response's."""
    return int(answer_id.rsplit("_", 2)[1])
