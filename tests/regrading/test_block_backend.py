"""Regrades with the reply backend "block" and the real problem block of Open edX."""

from __future__ import annotations

import json

import pytest

from tests.grader_replies import real_block
from tests.grader_replies.factories import COURSE, make_learner
from tests.regrading.factories import grade, grade_all_again, outcomes
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.locks import block_lock
from xqueue_bridge.learner_state import student_module
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.submission_queue import queue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _block_backend(settings):
    settings.XQUEUE_BRIDGE = {
        "REPLY_BACKEND": "block",
        "BLOCK_LOADER": "tests.grader_replies.real_block.load_block",
        "COURSE_STRUCTURE_BACKEND": None,
    }


def state_of(user_id: int, name: str) -> dict:
    return student_module.read_state(user_id, real_block.parse_usage_key(name), COURSE)


def regrade(**options) -> regrading.Regrade:
    chosen = regrading.RegradeOptions(per_minute=600, **options)
    return regrading.start(regrading.Selection(COURSE), chosen)


@pytest.mark.parametrize("name", ["one", "ten", "files"])
def test_blocks_score_and_feedback_are_replaced(name):
    user_id = make_learner()
    (sent,) = real_block.submit_answers(user_id, name)
    grade(sent.pk, 0, "old")
    job = regrade()
    assert grade_all_again(1, "new") == 1
    assert outcomes(job) == {user_id: "up"}
    state = state_of(user_id, name)
    assert state["score"]["raw_earned"] == 1
    (entry,) = state["correct_map"].values()
    assert (entry["msg"], entry["queuestate"]) == ("<p>new</p>", None)


def test_one_of_two_parts_is_graded_again():
    user_id = make_learner()
    first, second = real_block.submit_answers(user_id, "uneven")
    grade(first.pk, 2, "first")
    grade(second.pk, 5, "second")
    chosen = regrading.Selection(COURSE, submission_id=second.pk)
    regrading.start(chosen, regrading.RegradeOptions())
    grade_all_again(3, "again")
    state = state_of(user_id, "uneven")
    assert state["score"] == {"raw_earned": 5, "raw_possible": 7}
    assert sorted(each["msg"] for each in state["correct_map"].values()) == [
        "<p>again</p>",
        "<p>first</p>",
    ]


def test_block_that_waits_for_a_newer_answer_is_not_changed():
    user_id = make_learner()
    (sent,) = real_block.submit_answers(user_id, "ten")
    grade(sent.pk, 9, "old")
    job = regrade()
    regrading.release_due()
    held = queue.pull("python", None)
    state = state_of(user_id, "ten")
    (answer_id,) = state["correct_map"]
    state["correct_map"][answer_id]["queuestate"] = {"key": "newer", "time": "20261129000000"}
    student_module.save_fields(user_id, COURSE, real_block.parse_usage_key("ten"), state)
    before = json.dumps(state_of(user_id, "ten"))
    grade(held.submission_id, 3, "regrade")
    assert json.dumps(state_of(user_id, "ten")) == before
    assert outcomes(job) == {user_id: "skipped"}


def test_result_is_not_applied_while_another_process_has_the_block():
    user_id = make_learner()
    (sent,) = real_block.submit_answers(user_id, "one")
    grade(sent.pk, 0, "old")
    job = regrade()
    regrading.release_due()
    held = queue.pull("python", None)
    with block_lock(user_id, sent.usage_key):
        grade(held.submission_id, 1, "new")
        assert outcomes(job) == {user_id: "open"}
    grader_replies.apply_due()
    assert outcomes(job) == {user_id: "up"}


def test_lower_result_is_not_saved_if_only_higher_ones_count():
    user_id = make_learner()
    (sent,) = real_block.submit_answers(user_id, "ten")
    grade(sent.pk, 9, "old")
    job = regrade(only_if_higher=True)
    grade_all_again(3)
    assert outcomes(job) == {user_id: "kept"}
    assert state_of(user_id, "ten")["score"]["raw_earned"] == 9
