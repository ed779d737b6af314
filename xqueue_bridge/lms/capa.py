"""The state of a capa problem: the queue keys that it waits for, and what a reply changes. Pure.

The functions tolerate malformed states and do not modify the state passed to them. A changed state
equals that of the block's own ``score_update`` and ``ungraded_response``; the differential tests
compare both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from xqueue_bridge.data import GraderReply
from xqueue_bridge.protocol.fields import is_finite, read_json
from xqueue_bridge.protocol.headers import make_hashkey

#: The fields of a problem, which may have any form.
State: TypeAlias = Mapping[str, Any]
#: What a state has about one answer or input.
Entry: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """One answer in a state: its points, the queue key it waits for, and its whole entry."""

    points: float
    queue_key: str | None
    entry: Entry


def waiting_keys(state: State) -> frozenset[str]:
    """Return the queue keys of all inputs in ``state`` that wait for a grader."""
    return frozenset(waiting_answers(state)) | frozenset(waiting_inputs(state))


def waiting_answers(state: State) -> dict[str, str]:
    """Return queue key -> id of the answer that waits for a grade."""
    found = {}
    for answer_id, entry in _entries(state, "correct_map"):
        queuestate = entry.get("queuestate")
        if isinstance(queuestate, Mapping) and isinstance(queuestate.get("key"), str):
            found[queuestate["key"]] = answer_id
    return found


def waiting_inputs(state: State) -> dict[str, str]:
    """Return queue key -> id of the input that waits for the output of a trial run."""
    return {
        entry["queuekey"]: input_id
        for input_id, entry in _entries(state, "input_state")
        if entry.get("queuestate") == "queued" and isinstance(entry.get("queuekey"), str)
    }


def maximum_of(
    state: State, answer_id: str, points: Mapping[str, float], *, is_fraction: bool
) -> float:
    """Return the maximum points of an answer.

    If the submission has no ``points``, a single answer is worth the whole problem. One of several
    gets the points not used by the others, so that the sum stays possible. A score that is a
    fraction is taken of an equal share.
    """
    if answer_id in points:
        return points[answer_id]
    possible = possible_of(state, points)
    entries = state["correct_map"]
    if is_fraction:
        return possible / len(entries)
    others = sum(_earned(entry) for id_, entry in entries.items() if id_ != answer_id)
    return max(possible - others, 0)


def possible_of(state: State, points: Mapping[str, float]) -> float:
    """Return the points of the whole problem: as stored, as sent, or capa's default of 1 each."""
    score = state.get("score")
    if isinstance(score, Mapping) and _is_points(score.get("raw_possible")):
        return score["raw_possible"]
    return sum(points.values()) if points else len(state["correct_map"])


def graded(
    state: State, answer_id: str, reply: GraderReply, *, points: float, possible: float
) -> State:
    """Return the state after one answer has received its points and no longer waits."""
    entry = {
        "correctness": "correct" if reply.correct else "incorrect",
        "npoints": points,
        "msg": reply.msg,
        "hint": "",
        "hintmode": None,
        "queuestate": None,
        "answervariable": None,
    }
    correct_map = {**state["correct_map"], answer_id: entry}
    # If the sum were above, by rounding or a changed problem, capa could not load the state.
    earned = min(sum(_earned(entry) for entry in correct_map.values()), possible)
    score = {"raw_earned": earned, "raw_possible": possible}
    return {**state, "correct_map": correct_map, "score": score}


def failed(state: State, answer_id: str, msg: str, *, possible: float) -> State:
    """Return the state after no grader could grade an answer: it does not wait, and has no points.

    The answer is ``incomplete`` instead of ``incorrect``. The attempt is not counted; if several
    answers of it fail, it is given back once.
    """
    reply = GraderReply(correct=False, score=0, msg=msg)
    after = dict(graded(state, answer_id, reply, points=0, possible=possible))
    after["correct_map"][answer_id]["correctness"] = "incomplete"
    attempts = state.get("attempts")
    if type(attempts) is int and attempts > 0 and not not_graded_answers(state):
        after["attempts"] = attempts - 1
    return after


def not_graded_answers(state: State) -> frozenset[str]:
    """Return the ids of the answers that no grader could grade, and that do not wait."""
    return frozenset(
        answer_id
        for answer_id, entry in _entries(state, "correct_map")
        if entry.get("correctness") == "incomplete" and not entry.get("queuestate")
    )


def reopened(state: State, before: State, queue_key: str, time: str) -> dict[str, object] | None:
    """Return the state in which an answer waits again, as it did in ``before``.

    None if the learner has changed that answer since, or it waits for another reply. ``time`` is
    when it began to wait, as ``YYYYmmddHHMMSS``. The attempt is counted again with the last of
    its answers that no grader could grade.
    """
    if queue_key in waiting_keys(state):
        return dict(state)
    answer_id = waiting_answers(before).get(queue_key)
    entries = dict(_entries(state, "correct_map"))
    if answer_id is None or entries.get(answer_id, {}).get("queuestate"):
        return None
    if _answer(state, answer_id) != _answer(before, answer_id):
        return None
    entry = {**before["correct_map"][answer_id], "queuestate": {"key": queue_key, "time": time}}
    after: dict[str, object] = {**state, "correct_map": {**entries, answer_id: entry}}
    attempts = state.get("attempts")
    if type(attempts) is int and not_graded_answers(state) == {answer_id}:
        after["attempts"] = attempts + 1
    return after


def answer_of_submission(
    user_id: int, body: str, queue_key: str, answer_ids: Iterable[str]
) -> str | None:
    """Return the id of the answer that a submission is for; None if that cannot be told.

    capa derives the queue key from the user id, from two values that the body contains, and from
    the answer id.
    """
    try:
        info = read_json(read_json(body)["student_info"])
        start = f"{user_id}{info['submission_time']}{info['anonymous_student_id']}"
    except (ValueError, TypeError, KeyError):
        return None
    keys = {make_hashkey(start + answer_id): answer_id for answer_id in answer_ids}
    return keys.get(queue_key)


def text_of_submission(body: str) -> str | None:
    """Return the text that a submission's body has as the answer; None if it has none."""
    try:
        text = read_json(body)["student_response"]
    except (ValueError, TypeError, KeyError):
        return None
    return text if isinstance(text, str) else None


def graded_answer(state: State, answer_id: str) -> GradedAnswer | None:
    """Return what a state has about one answer; None if it was not submitted."""
    entry = dict(_entries(state, "correct_map")).get(answer_id)
    if entry is None:
        return None
    queuestate = entry.get("queuestate")
    key = queuestate.get("key") if isinstance(queuestate, Mapping) else None
    return GradedAnswer(_earned(entry), key if isinstance(key, str) else None, dict(entry))


def waiting_again(state: State, answer_id: str, queue_key: str, time: str) -> State:
    """Return the state in which a graded answer waits for another reply; its score stays."""
    entry = {
        **state["correct_map"][answer_id],
        "correctness": "incomplete",
        "msg": "",
        "queuestate": {"key": queue_key, "time": time},
    }
    return with_entry(state, answer_id, entry)


def with_entry(state: State, answer_id: str, entry: Entry) -> State:
    """Return the state with another entry of one answer."""
    return {**state, "correct_map": {**state["correct_map"], answer_id: dict(entry)}}


def shown(state: State, input_id: str, msg: str) -> dict[str, object]:
    """Return the state after a trial run has received its output and no longer waits."""
    entry = {
        **state["input_state"][input_id],
        "queue_msg": msg,
        "queuestate": None,
        "queuekey": None,
    }
    return {**state, "input_state": {**state["input_state"], input_id: entry}}


def _answer(state: State, answer_id: str) -> object:
    answers = state.get("student_answers")
    return answers.get(answer_id) if isinstance(answers, Mapping) else None


def _earned(entry: object) -> float:
    """Return an answer's points as capa counts them: 1 for a correct answer without points."""
    if not isinstance(entry, Mapping):
        return 0
    npoints = entry.get("npoints")
    if npoints is not None:
        return npoints if _is_points(npoints) else 0
    return 1 if entry.get("correctness") in ("correct", "partially-correct") else 0


def _is_points(value: object) -> bool:
    """Return whether a stored value is a number of points; migrated states contain NaN, too."""
    return isinstance(value, int | float) and is_finite(value) and value >= 0


def _entries(state: State, field: str) -> Iterator[tuple[str, Entry]]:
    entries = state.get(field)
    if isinstance(entries, Mapping):
        yield from ((name, e) for name, e in entries.items() if isinstance(e, Mapping))
