"""Replies after the author has changed the problem, with the real problem block."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demo.runtime import render
from tests.grader_replies import real_block
from tests.grader_replies.factories import COURSE, make_learner, make_reply
from tests.grader_replies.test_apply import due_again
from xqueue_bridge import api as public
from xqueue_bridge.grader_replies import api
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = real_block.TEXT


@pytest.fixture(params=["state", "block"])
def backend(request, settings) -> str:
    settings.XQUEUE_BRIDGE = {
        "REPLY_BACKEND": request.param,
        "BLOCK_LOADER": "tests.grader_replies.real_block.load_block",
    }
    return request.param


@pytest.fixture
def author(monkeypatch):
    def write(*responses: str) -> None:
        monkeypatch.setitem(real_block.OLX, "changing", "".join(responses))

    return write


def apply(submission: Submission, score: float, **reply: Any) -> str:
    body = json.dumps({"correct": True, "score": score, "msg": "<p>ok</p>", **reply})
    return api.apply_reply(make_reply(submission, body).pk)


def load(user_id: int) -> Any:
    """Return the learner's block; it cannot be loaded if its score is not possible."""
    block = real_block.load_block(user_id, COURSE, real_block.parse_usage_key("changing"))
    render(block)
    assert 0 <= block.score.raw_earned <= block.score.raw_possible
    return block


def test_reply_after_points_were_reduced_is_applied(backend, author):
    """C94, C113: 10 of 10 points become 1 of 1; the page loads, and the second reply counts."""
    author(TEXT % 10, TEXT % 10)
    user_id = make_learner()
    first, second = real_block.submit_answers(user_id, "changing")
    assert apply(first, 10) == "applied"
    author(TEXT % 1, TEXT % 1)
    assert apply(second, 10) == "applied"
    block = load(user_id)
    assert block.score.raw_earned == block.score.raw_possible
    if backend == "block":
        assert (block.score.raw_earned, block.score.raw_possible) == (2, 2)


def test_wrong_second_answer_after_points_were_reduced_gets_none(backend, author):
    """C113: the first answer keeps at most its new points; the second gets 0."""
    author(TEXT % 10, TEXT % 10)
    user_id = make_learner()
    first, second = real_block.submit_answers(user_id, "changing")
    apply(first, 10)
    author(TEXT % 1, TEXT % 1)
    assert apply(second, 0, correct=False) == "applied"
    score = load(user_id).score
    assert score.raw_earned / score.raw_possible == 0.5


@pytest.mark.parametrize(("before", "after", "score"), [(10, 1, 10), (1, 10, 1), (3, 3, 2)])
def test_reply_after_points_were_changed_is_applied(backend, author, before, after, score):
    """C94: the problem has more or fewer points than when the answer was submitted."""
    author(TEXT % before)
    user_id = make_learner()
    [only] = real_block.submit_answers(user_id, "changing")
    author(TEXT % after)
    assert apply(only, score) == "applied"
    load(user_id)


@pytest.mark.parametrize("backend", ["block"], indirect=True)
def test_points_of_a_removed_part_do_not_count(backend, author):
    """C113: the points of the removed part do not count for the remaining one."""
    author(TEXT % 1, TEXT % 10)
    user_id = make_learner()
    first, second = real_block.submit_answers(user_id, "changing")
    assert apply(second, 10) == "applied"
    author(TEXT % 1)
    assert apply(first, 0, correct=False) == "applied"
    score = load(user_id).score
    assert (score.raw_earned, score.raw_possible) == (0, 1)


@pytest.mark.parametrize("backend", ["block"], indirect=True)
def test_reply_to_a_removed_part_ends_the_wait(backend, author, caplog):
    """C106, C107: the state does not wait after one attempt; the other part is unchanged."""
    author(TEXT % 1, TEXT % 10)
    user_id = make_learner()
    first, second = real_block.submit_answers(user_id, "changing")
    assert apply(first, 1) == "applied"
    author(TEXT % 1)
    reply = make_reply(second, json.dumps({"correct": True, "score": 10, "msg": "x"}))
    assert api.apply_reply(reply.pk) == "applied"
    assert due_again(reply) == "applied"
    assert reply.score_applied == 0
    assert f"Reply {reply.pk} is to a part that the problem no longer has" in caplog.text
    block = load(user_id)
    assert not block.lcp.is_queued()
    assert (block.score.raw_earned, block.score.raw_possible) == (1, 1)
    assert public.read_score(user_id, second.usage_key, COURSE) == public.RawScore(1, 1)


@pytest.mark.parametrize("backend", ["block"], indirect=True)
@pytest.mark.parametrize("other_part", ["", TEXT % 1])
def test_reply_to_a_part_of_another_kind_ends_the_wait(backend, author, other_part):
    """C106, C107: the part has become one that the block itself grades; the page loads."""
    author(TEXT % 5, other_part)
    user_id = make_learner()
    first, *others = real_block.submit_answers(user_id, "changing")
    author(real_block.CHOICE, other_part)
    assert apply(first, 5) == "applied"
    block = load(user_id)
    assert block.score.raw_earned == 0
    assert block.lcp.is_queued() == bool(others)
    assert [apply(each, 1) for each in others] == ["applied"] * len(others)
    assert load(user_id).score.raw_earned == len(others)


@pytest.mark.parametrize("backend", ["block"], indirect=True)
def test_correct_answer_with_nan_points_counts_as_one_point(backend, author):
    """C113: a migrated state may contain NaN."""
    author(TEXT % 1, TEXT % 1)
    user_id = make_learner()
    first, second = real_block.submit_answers(user_id, "changing")
    assert apply(first, 1) == "applied"
    row = StudentModule.objects.get()
    row.state = row.state.replace('"npoints": 1', '"npoints": NaN')
    row.save()
    assert apply(second, 1) == "applied"
    assert load(user_id).score.raw_earned == 2
