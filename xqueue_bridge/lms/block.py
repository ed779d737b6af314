"""Attributes of a problem block that the bridge reads.

The functions tolerate a block without these attributes, because the `xqueue` service is created
for every problem on every page view, and most problems have no external grader.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.lms import capa
from xqueue_bridge.lms.capa import GradedAnswer


class ScopeIds(Protocol):
    """Whose state a block has, and which block it is."""

    user_id: int
    usage_id: UsageKey


class ProblemBlock(Protocol):
    """The part of an XBlock that the bridge uses."""

    scope_ids: ScopeIds

    def handle_ajax(self, dispatch: str, data: Mapping[str, str]) -> str: ...

    def save(self) -> None: ...


def usage_key(block: ProblemBlock) -> UsageKey:
    """Return the block's usage key."""
    return block.scope_ids.usage_id


def course_key(block: ProblemBlock) -> LearningContextKey:
    """Return the key of the course or library that contains the block."""
    return usage_key(block).context_key


def answer_points(block: ProblemBlock | None) -> dict[str, float]:
    """Return the points of each answer of a capa problem, by answer id; {} if unknown."""
    problem = getattr(block, "lcp", None)
    points: dict[str, float] = {}
    for responder in getattr(problem, "responders", {}).values():
        points.update(getattr(responder, "maxpoints", {}))
    return points


def waiting_answer(block: ProblemBlock, queue_key: str) -> str | None:
    """Return the id of the capa answer that waits for ``queue_key``, or None."""
    correct_map = _correct_map(block)
    if correct_map is None:
        return None
    for answer_id in correct_map:
        if correct_map.is_right_queuekey(answer_id, queue_key):
            return answer_id
    return None


def clamp_answers(block: ProblemBlock) -> None:
    """Reduce the stored points of all answers to what the problem allows now.

    If the author has reduced the points or removed parts since, the sum of all answers would
    exceed the maximum, and capa could not load the saved state. A removed part has no points; an
    answer that waits has none yet.
    """
    correct_map = _correct_map(block)
    worth = answer_points(block)
    if not worth or not hasattr(correct_map, "set_property"):
        return
    for answer_id in correct_map:
        points = correct_map.get_npoints(answer_id)
        maximum = worth.get(answer_id, 0)
        if not 0 <= points <= maximum:
            # Neither limit holds for NaN, which a migrated state can contain.
            clamped = min(max(points, 0), maximum) if points == points else 0
            correct_map.set_property(answer_id, "npoints", clamped)


def graded_answer(block: ProblemBlock, answer_id: str) -> GradedAnswer | None:
    """Return what the block has about one answer; None if it was not submitted."""
    correct_map = _correct_map(block)
    if correct_map is None:
        return None
    return capa.graded_answer({"correct_map": correct_map.get_dict()}, answer_id)


def is_removed(block: ProblemBlock, answer_id: str) -> bool:
    """Return whether the author has removed the part with this answer, or made it another kind.

    As capa does, take a part without ``update_score`` as one that external graders do not grade.
    """
    responders = getattr(getattr(block, "lcp", None), "responders", {}).values()
    gradable = (each for each in responders if hasattr(each, "update_score"))
    return bool(answer_points(block)) and not any(
        answer_id in getattr(each, "maxpoints", {}) for each in gradable
    )


def stop_waiting(block: ProblemBlock, answer_id: str) -> None:
    """End the waiting of an answer whose part ``is_removed``; the block ignores replies to it."""
    _correct_map(block).set(answer_id, correctness="incorrect", npoints=0)


def mark_not_graded(block: Any, answer_id: str) -> None:
    """Say of an answer that no grader could grade it, instead of "incorrect".

    The attempt is not counted; if several answers of it fail, it is given back once.
    """
    correct_map = _correct_map(block)
    if not hasattr(correct_map, "set_property") or not hasattr(block, "set_state_from_lcp"):
        return
    is_first = not not_graded_answers(block)
    correct_map.set_property(answer_id, "correctness", "incomplete")
    block.set_state_from_lcp()
    attempts = getattr(block, "attempts", None)
    if is_first and type(attempts) is int and attempts > 0:
        block.attempts = attempts - 1


def not_graded_answers(block: ProblemBlock) -> frozenset[str]:
    """Return the ids of the answers that no grader could grade, and that do not wait."""
    correct_map = _correct_map(block)
    if not hasattr(correct_map, "get_dict"):
        return frozenset()
    return capa.not_graded_answers({"correct_map": correct_map.get_dict()})


def wait_again(block: Any, answer_id: str, queue_key: str, time: str) -> None:
    """Let an answer that no grader could grade wait again; ``time`` as ``YYYYmmddHHMMSS``.

    The attempt is counted again with the last such answer.
    """
    is_last = not_graded_answers(block) == {answer_id}
    _correct_map(block).set(
        answer_id,
        correctness="incomplete",
        msg="1",  # the length of the queue, which the block shows
        queuestate={"key": queue_key, "time": time},
    )
    block.set_state_from_lcp()
    if is_last and type(getattr(block, "attempts", None)) is int:
        block.attempts += 1


def learners_answer(block: ProblemBlock, answer_id: str) -> object:
    """Return what the learner has entered: a text, or the names of files."""
    answers = getattr(getattr(block, "lcp", None), "student_answers", None)
    return answers.get(answer_id) if isinstance(answers, Mapping) else None


def has_possible_score(block: ProblemBlock) -> bool:
    """Return whether the block's score is one that capa can load, as far as it has one."""
    score = getattr(block, "score", None)
    earned = getattr(score, "raw_earned", None)
    possible = getattr(score, "raw_possible", None)
    return earned is None or possible is None or 0 <= earned <= possible


def _correct_map(block: ProblemBlock) -> Any:
    return getattr(getattr(block, "lcp", None), "correct_map", None)
