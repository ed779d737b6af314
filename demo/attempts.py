"""A learner's attempts at a problem, read from the history of the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from demo.course import Problem
from demo.progress import Part, is_queued, parts_of
from xqueue_bridge import api
from xqueue_bridge.api import HistoryEntry

#: How many attempts are shown, newest first.
LIMIT = 20


@dataclass(frozen=True)
class Answered:
    """One answer (``files``: their names) and its result."""

    part: Part
    text: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    """One submit; ``seconds`` is the time to its last grade, None if a grade is missing."""

    number: int
    answers: tuple[Answered, ...]
    sent_at: datetime
    seconds: float | None

    @property
    def earned(self) -> float:
        return sum(answer.part.earned for answer in self.answers)

    @property
    def possible(self) -> float:
        return sum(answer.part.possible for answer in self.answers)

    @property
    def graded(self) -> bool:
        return self.seconds is not None


def attempts(user_id: int, problem: Problem) -> list[Attempt]:
    """Return a learner's attempts at a problem, newest first."""
    rows = _rows_by_attempt(user_id, problem)
    return [_attempt(problem, number, written) for number, written in rows.items()]


def _rows_by_attempt(user_id: int, problem: Problem) -> dict[int, list[HistoryEntry]]:
    """Return the history entries of each attempt; attempts and entries are newest first."""
    found: dict[int, list[HistoryEntry]] = {}
    usage_key = problem.usage_key
    for entry in api.read_history(user_id, usage_key, usage_key.context_key):
        number = (entry.state or {}).get("attempts", 0)
        if number not in found and len(found) == LIMIT:
            break
        if number:
            found.setdefault(number, []).append(entry)
    return found


def _attempt(problem: Problem, number: int, written: list[HistoryEntry]) -> Attempt:
    newest, oldest = written[0], written[-1]
    parts = parts_of(problem, newest.state)
    texts = _in_order(newest.state.get("student_answers", {}))
    answers = tuple(_answered(part, text) for part, text in zip(parts, texts, strict=True))
    # The score of the next attempt is written before its state: use the first row with every
    # grade, not the last one.
    graded = [entry.created for entry in written if not is_queued(entry.state)]
    seconds = (graded[-1] - oldest.created).total_seconds() if graded else None
    return Attempt(number, answers, oldest.created, seconds)


def _answered(part: Part, answer: str | list[str]) -> Answered:
    if isinstance(answer, str):
        return Answered(part, answer, ())
    return Answered(part, "", tuple(answer))


def _in_order(answers: Mapping[str, Any]) -> list[Any]:
    return [answers[key] for key in sorted(answers, key=lambda key: int(key.rsplit("_", 2)[1]))]
