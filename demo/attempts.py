"""A learner's attempts at a problem, read from the history of the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from demo.course import Problem
from demo.progress import Part, is_not_graded, is_queued, parts_of
from xqueue_bridge import api
from xqueue_bridge.api import HistoryEntry
from xqueue_bridge.lms.capa import waiting_keys

#: How many attempts are shown, newest first, and how many history entries are read for them.
LIMIT = 20
ENTRIES = 200


@dataclass(frozen=True)
class Answered:
    """One answer (``files``: their names) and its result."""

    part: Part
    text: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    """One submit; ``seconds`` is the time to its last grade, None if a grade is missing.

    ``replaced``: the learner has submitted again meanwhile. ``failed``: no grader could grade it,
    and it does not count as an attempt.
    """

    number: int
    answers: tuple[Answered, ...]
    sent_at: datetime
    seconds: float | None
    replaced: bool = False
    failed: bool = False

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
    groups = _entries_by_attempt(user_id, problem)[-LIMIT:]
    return [_attempt(problem, *group, is_newest=group is groups[-1]) for group in groups[::-1]]


def _entries_by_attempt(user_id: int, problem: Problem) -> list[tuple[int, list[HistoryEntry]]]:
    """Return the number and the history entries of each attempt, oldest first.

    An attempt begins when the state waits for a new queue key, or counts one attempt more.
    """
    usage_key = problem.usage_key
    newest_first = api.read_history(user_id, usage_key, usage_key.context_key)
    groups: list[tuple[int, list[HistoryEntry]]] = []
    known: set[str] = set()
    for entry in reversed(list(islice(newest_first, ENTRIES))):
        number = (entry.state or {}).get("attempts", 0)
        keys = waiting_keys(entry.state or {})
        if keys - known or number > (groups[-1][0] if groups else 0):
            groups.append((number, []))
        known |= keys
        if groups:
            groups[-1][1].append(entry)
    return groups


def _attempt(
    problem: Problem, number: int, written: list[HistoryEntry], *, is_newest: bool
) -> Attempt:
    oldest, newest = written[0], written[-1]
    parts = parts_of(problem, newest.state)
    texts = _in_order(newest.state.get("student_answers", {}))
    answers = tuple(_answered(part, text) for part, text in zip(parts, texts, strict=True))
    failed = is_not_graded(newest.state)
    # The score of the next attempt is written before its state: use the first row with every
    # grade, not the last one.
    graded = [each.created for each in written if not is_open(each.state)]
    seconds = (graded[0] - oldest.created).total_seconds() if graded and not failed else None
    replaced = not is_newest and seconds is None and not failed
    return Attempt(number, answers, oldest.created, seconds, replaced, failed)


def is_open(state: Mapping[str, Any]) -> bool:
    """Return whether a grade of a state is missing."""
    return is_queued(state) or is_not_graded(state)


def _answered(part: Part, answer: str | list[str]) -> Answered:
    if isinstance(answer, str):
        return Answered(part, answer, ())
    return Answered(part, "", tuple(answer))


def _in_order(answers: Mapping[str, Any]) -> list[Any]:
    return [answers[key] for key in sorted(answers, key=lambda key: int(key.rsplit("_", 2)[1]))]
