"""The backends "state" and "block" store the same.

A learner submits with the real problem block and the submissions table. Each backend then applies
the same reply to a copy of that state, and the stored states and scores must be equal.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.grader_replies import real_block
from tests.grader_replies.factories import COURSE, make_learner
from tests.grader_replies.test_feedback import WATCHER, markup
from tests.property_examples import few
from xqueue_bridge.data import ApplyResult, Dispatch, ReplyToApply
from xqueue_bridge.grader_replies.backends.block import BlockBackend
from xqueue_bridge.grader_replies.backends.student_module import StudentModuleBackend
from xqueue_bridge.grader_replies.feedback import NO_FEEDBACK
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db

REPLY_BACKENDS = (StudentModuleBackend(), BlockBackend())

many = settings(max_examples=few(25), suppress_health_check=[HealthCheck.function_scoped_fixture])

scores = st.one_of(
    st.integers(-3, 20),
    st.floats(-1, 12),
    st.booleans(),
    st.sampled_from([1e300, 10**30, 1.0000000000000002, 5e-324, -0.0]),
)
replies = st.fixed_dictionaries(
    {
        "correct": st.sampled_from([True, False, None, 0, 1, "True", "false"]),
        "score": scores,
        "msg": markup | st.text(st.characters(), max_size=20) | st.none() | st.integers(),
    }
)
#: Index of the submission of a reply; None: a key that the state does not wait for.
plans = st.lists(
    st.tuples(st.sampled_from([0, 1, None]), replies, st.booleans()), min_size=1, max_size=4
)


@pytest.fixture(autouse=True)
def _loader(settings):
    settings.XQUEUE_BRIDGE = {"BLOCK_LOADER": "tests.grader_replies.real_block.load_block"}


@pytest.fixture
def ada() -> int:
    return make_learner()


def to_apply_of(submission: Submission, reply: dict[str, Any], is_fraction: bool) -> ReplyToApply:
    dispatch = Dispatch(submission.dispatch)
    graded = dispatch is Dispatch.SCORE_UPDATE
    return ReplyToApply(
        reply_id=1,
        target=submission.target,
        queue_key=submission.queue_key,
        header=submission.content.header,
        reply=parse_reply(json.dumps(reply), graded=graded),
        points=submission.content.points,
        score_is_fraction=is_fraction,
        sent_at=submission.created_at,
        age=timedelta(seconds=10),
    )


def stored(submission: Submission) -> tuple[Any, ...]:
    row = StudentModule.objects.get(
        student_id=submission.user_id, module_state_key=submission.usage_key
    )
    return json.loads(row.state), row.grade, row.max_grade


def results_of(backend: Any, replies_to_apply: list[ReplyToApply]) -> list[ApplyResult]:
    return [backend.apply(to_apply, lambda result: None) for to_apply in replies_to_apply]


def apply_with_both(
    replies_to_apply: list[ReplyToApply], submission: Submission
) -> tuple[Any, ...]:
    """Apply the replies with both backends to the same state; return the equal result."""
    before = StudentModule.objects.filter(module_state_key=submission.usage_key).values().get()
    left = []
    try:
        for backend in REPLY_BACKENDS:
            StudentModule.objects.filter(pk=before["id"]).update(**before)
            left.append((results_of(backend, replies_to_apply), stored(submission)))
            assert can_be_opened(submission)
    finally:
        StudentModule.objects.filter(pk=before["id"]).update(**before)
    by_state, by_block = left
    assert by_state == by_block
    assert [type(r.points) for r in by_state[0]] == [type(r.points) for r in by_block[0]]
    return by_state


def can_be_opened(submission: Submission) -> bool:
    block = real_block.load_block(submission.user_id, COURSE, submission.usage_key)
    return bool(block.lcp.get_html())


@pytest.mark.parametrize("name", ["one", "ten", "two", "uneven", "mixed", "files", "matlab"])
def test_valid_reply_gives_equal_state_score_and_maximum(ada, name):
    """C109, C113: state, score and maximum are those of the block."""
    sent = real_block.submit_answers(ada, name)
    reply = {"correct": True, "score": 1, "msg": WATCHER}
    results, (state, grade, max_grade) = apply_with_both(
        [to_apply_of(sent[0], reply, False)], sent[0]
    )
    assert results[0].applied
    assert (grade, max_grade) == (state["score"]["raw_earned"], state["score"]["raw_possible"])
    assert grade >= 1


@pytest.mark.parametrize("score", [0, 1, 0.5, 0.8, 1.0, 7, 50, -1, True, False, 1e300])
@pytest.mark.parametrize(("name", "correct"), [("one", True), ("ten", False)])
@pytest.mark.parametrize("is_fraction", [False, True])
def test_any_kind_of_score_gives_equal_points(ada, name, score, is_fraction, correct):
    """C94, C95, C96: points and fractions; partial, negative and over the maximum."""
    sent = real_block.submit_answers(ada, name)
    reply = {"correct": correct, "score": score, "msg": "x"}
    maximum = {"one": 1, "ten": 10}[name]
    _, (_, grade, max_grade) = apply_with_both([to_apply_of(sent[0], reply, is_fraction)], sent[0])
    assert (grade, max_grade) == (
        max(0, min(score * (maximum if is_fraction else 1), maximum)),
        maximum,
    )


@pytest.mark.parametrize(
    "msg",
    ["", " ", None, "a < b", "plain", "<p>two</p><p>roots</p>", "a&nbsp;b", "<br>", "\x00\x07"]
    + ["<script>x</script>", "<?xml version='1.0' encoding='utf-8'?><p>x</p>", "<pre>\n\nx</pre>"]
    + [WATCHER, NO_FEEDBACK, "<img src='https://example.com/x.png'>", "<div>" * 5, "\ud800", "😀"],
)
def test_any_feedback_is_stored_equally(ada, msg):
    """C93: the learner sees the same feedback, and never capa's own error."""
    sent = real_block.submit_answers(ada, "one")
    reply = {"correct": True, "score": 1, "msg": msg}
    _, (state, grade, _) = apply_with_both([to_apply_of(sent[0], reply, False)], sent[0])
    (entry,) = state["correct_map"].values()
    assert "Invalid grader reply" not in entry["msg"]
    assert (entry["correctness"], grade) == ("correct", 1)


def test_reply_with_another_queue_key_changes_nothing(ada):
    """C111, C115: a queue key that the state does not wait for changes nothing."""
    sent = real_block.submit_answers(ada, "two")
    before = stored(sent[0])
    stale = dataclasses.replace(
        to_apply_of(sent[0], {"correct": True, "score": 1, "msg": "x"}, False),
        queue_key="old",
    )
    results, after = apply_with_both([stale], sent[0])
    assert results == [ApplyResult(False)]
    assert after == before


def test_repeated_reply_is_applied_once(ada):
    """C116: after the first reply the state does not wait for the queue key."""
    sent = real_block.submit_answers(ada, "one")
    first = to_apply_of(sent[0], {"correct": True, "score": 1, "msg": "first"}, False)
    second = to_apply_of(sent[0], {"correct": False, "score": 0, "msg": "second"}, False)
    results, (_, grade, _) = apply_with_both([first, first, second], sent[0])
    assert [r.applied for r in results] == [True, False, False]
    assert grade == 1


@pytest.fixture
def answered(ada) -> dict[str, list[Submission]]:
    return {
        name: real_block.submit_answers(ada, name) for name in ("two", "uneven", "mixed", "files")
    }


@many
@given(plans, st.sampled_from(["two", "uneven", "mixed", "files"]))
@example([(1, {"correct": True, "score": 0.1, "msg": ""}, True)] * 2, "uneven")
def test_any_sequence_of_replies_gives_equal_states(answered, plan, name):
    """C24, C113: replies to several parts in any order, with repetitions and unknown keys."""
    sent = answered[name]
    replies_to_apply = []
    for which, reply, is_fraction in plan:
        to_apply = to_apply_of(sent[(which or 0) % len(sent)], reply, is_fraction)
        replies_to_apply.append(
            dataclasses.replace(to_apply, queue_key="unknown") if which is None else to_apply
        )
    apply_with_both(replies_to_apply, sent[0])


@pytest.mark.parametrize("has_answered", [False, True])
def test_reply_to_a_trial_run_changes_its_input_only(ada, has_answered):
    """C117: the output is stored at the input; score, marks and the graded answer do not change."""
    if has_answered:
        real_block.submit_answers(ada, "matlab")
    run = real_block.run_code(ada)
    before = stored(run)
    results, (state, *score) = apply_with_both(
        [to_apply_of(run, {"msg": "<b>ans = 3</b>"}, False)], run
    )
    assert results == [ApplyResult(True)]
    (entry,) = state["input_state"].values()
    assert entry["queue_msg"] == "<b>ans = 3</b>"
    assert state | {"input_state": 0} == before[0] | {"input_state": 0}
    assert tuple(score) == before[1:]


def test_queue_key_of_the_other_dispatch_changes_nothing(ada):
    """C110, C117: each dispatch has its own queue keys, also within one block."""
    (graded,) = real_block.submit_answers(ada, "matlab")
    with time_machine.travel(timezone.now() + timedelta(seconds=10)):
        run = real_block.run_code(ada)
    assert run.queue_key != graded.queue_key
    reply = {"correct": True, "score": 1, "msg": "x"}
    crossed = [
        dataclasses.replace(to_apply_of(graded, reply, False), queue_key=run.queue_key),
        dataclasses.replace(to_apply_of(run, reply, False), queue_key=graded.queue_key),
    ]
    before = stored(run)
    results, after = apply_with_both(crossed, run)
    assert results == [ApplyResult(False), ApplyResult(False)]
    assert after == before
