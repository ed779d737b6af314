"""A learner's state at a block is deleted while graders are at work on it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from tests.grader_replies.factories import waiting_state
from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    OTHER_PROBLEM,
    PROBLEM,
    make_grader,
    new_submission,
)
from xqueue_bridge.deletion import delete_state, has_state, reset_attempts
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

#: SQLite has no row locks; there the lock is a write of its own.
LOCK = 1 if connection.features.has_select_for_update else 2


@pytest.fixture
def ada(transactional_db) -> int:
    return get_user_model().objects.create_user("ada").pk


def answer(user_id: int, queue_key: str = "key-1", usage_key=PROBLEM) -> None:
    """The learner answers: the submission is sent, then the state is saved."""
    submission_queue.enqueue(
        new_submission(user_id=user_id, queue_key=queue_key, usage_key=usage_key)
    )
    state = waiting_state(loops_2_1=queue_key)
    learner_state.save_fields(user_id, COURSE, usage_key, state)


def status_of(queue_key: str) -> str:
    return Submission.objects.get(queue_key=queue_key).status


def let_time_pass() -> None:
    """The grace period of every submission ends."""
    Submission.objects.update(created_at=timezone.now() - timedelta(hours=1))
    ReceivedReply.objects.filter(next_attempt_at__isnull=False).update(
        next_attempt_at=timezone.now()
    )


def test_open_submissions_are_superseded(ada):
    """C124, SG48: a deleted state's submissions are handed to no grader."""
    answer(ada)
    answer(ada, "key-2", OTHER_PROBLEM)
    assert delete_state(ada, COURSE, PROBLEM) is True
    assert (status_of("key-1"), status_of("key-2")) == (Status.SUPERSEDED, Status.WAITING)
    other = Submission.objects.get(queue_key="key-2")
    assert make_grader().pull().submission_id == other.pk
    assert learner_state.read_state(ada, PROBLEM, COURSE) is None
    assert learner_state.read_state(ada, OTHER_PROBLEM, COURSE) is not None


def test_a_late_reply_is_stale(ada):
    """C124, SG48: a grader that has the answer is acknowledged, and nothing comes back."""
    answer(ada)
    grader = make_grader()
    handed = grader.pull()
    delete_state(ada, COURSE, PROBLEM)
    assert grader.put(handed.header) == {"return_code": 0, "content": ""}
    assert status_of("key-1") == Status.ANSWERED
    let_time_pass()
    grader_replies.apply_due()
    assert ReceivedReply.objects.get().status == ReceivedReply.Status.STALE
    assert learner_state.read_state(ada, PROBLEM, COURSE) is None
    assert learner_state.read_score(ada, PROBLEM, COURSE).earned is None


def test_a_late_reply_twice(ada):
    """C87, C124: said twice, acknowledged twice, kept once."""
    answer(ada)
    grader = make_grader()
    handed = grader.pull()
    delete_state(ada, COURSE, PROBLEM)
    assert [grader.put(handed.header)["return_code"] for _ in range(2)] == [0, 0]
    assert ReceivedReply.objects.count() == 1


def test_a_late_reply_that_is_none(ada):
    """C92: it is refused, and does not bring the submission back to graders."""
    answer(ada)
    grader = make_grader()
    handed = grader.pull()
    delete_state(ada, COURSE, PROBLEM)
    assert grader.put(handed.header, "garbage")["return_code"] == 1
    assert status_of("key-1") == Status.SUPERSEDED
    assert grader.pull() is None


def test_a_reply_that_is_stored_and_not_yet_delivered(ada):
    """C124, SG48: it belongs to the deleted attempt as well."""
    submission_queue.enqueue(new_submission(user_id=ada))
    grader = make_grader()
    grader.put(grader.pull().header)  # before the state is saved, so it waits
    learner_state.save_fields(ada, COURSE, PROBLEM, {"seed": 1})
    delete_state(ada, COURSE, PROBLEM)
    let_time_pass()
    grader_replies.apply_due()
    assert ReceivedReply.objects.get().status == ReceivedReply.Status.STALE
    assert learner_state.read_state(ada, PROBLEM, COURSE) is None


def test_the_next_attempt_is_graded(ada):
    """C124: what the learner sends afterwards has nothing to do with it."""
    answer(ada)
    delete_state(ada, COURSE, PROBLEM)
    answer(ada, "key-2")
    grader = make_grader()
    grader.put(grader.pull().header, GOOD_REPLY)
    assert learner_state.read_score(ada, PROBLEM, COURSE).earned == 1
    assert status_of("key-1") == Status.SUPERSEDED


def test_a_page_that_was_loaded_before(ada):
    """C118: its save brings the answer back, so a grader may have it again."""
    answer(ada)
    delete_state(ada, COURSE, PROBLEM)
    learner_state.save_fields(ada, COURSE, PROBLEM, waiting_state(loops_2_1="key-1"))
    assert status_of("key-1") == Status.WAITING


def test_another_learner_keeps_theirs(ada):
    bob = get_user_model().objects.create_user("bob").pk
    answer(ada)
    answer(bob, "key-2")
    delete_state(ada, COURSE, PROBLEM)
    assert status_of("key-2") == Status.WAITING


def test_nothing_to_delete(ada):
    assert has_state(ada, COURSE, PROBLEM) is False
    assert delete_state(ada, COURSE, PROBLEM) is False
    submission_queue.enqueue(new_submission(user_id=ada))
    assert has_state(ada, COURSE, PROBLEM) is True
    assert delete_state(ada, COURSE, PROBLEM) is True
    assert delete_state(ada, COURSE, PROBLEM) is False


def test_a_reset_leaves_the_queue_alone(ada):
    """SG48: what waits for a grader is still graded after the attempts were reset."""
    answer(ada)
    assert reset_attempts(ada, COURSE, PROBLEM) is True
    grader = make_grader()
    grader.put(grader.pull().header)
    assert learner_state.read_score(ada, PROBLEM, COURSE).earned == 1


def test_all_or_nothing(ada, monkeypatch):
    """SG48: if the state cannot be deleted, its submissions stay in the queue."""
    answer(ada)

    def fail(*args: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(learner_state, "clear_state", fail)
    with pytest.raises(RuntimeError):
        delete_state(ada, COURSE, PROBLEM)
    assert status_of("key-1") == Status.WAITING


def test_statements(ada, django_assert_num_queries):
    """Withdraw, lock, write and remember, in one transaction, with a savepoint in it."""
    answer(ada)
    with django_assert_num_queries(7 + LOCK):
        delete_state(ada, COURSE, PROBLEM)
