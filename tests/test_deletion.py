"""Deletion of a learner's state at a block while its submissions are in the queue."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
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
from xqueue_bridge.learner_state import deletion
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

#: The lock: on SQLite the transaction begins with it (``transaction_mode`` "IMMEDIATE").
LOCK = 1


@pytest.fixture
def ada(transactional_db) -> int:
    return get_user_model().objects.create_user("ada").pk


def answer(user_id: int, queue_key: str = "key-1", usage_key=PROBLEM) -> None:
    """Enqueue an answer of the learner, then save the state that waits for it."""
    submission_queue.enqueue(
        new_submission(user_id=user_id, queue_key=queue_key, usage_key=usage_key)
    )
    state = waiting_state(loops_2_1=queue_key)
    learner_state.save_fields(user_id, COURSE, usage_key, state)


def status_of(queue_key: str) -> str:
    return Submission.objects.get(queue_key=queue_key).status


def expire_stale_after() -> None:
    """Let STALE_AFTER_SECONDS pass for every submission."""
    Submission.objects.update(created_at=timezone.now() - timedelta(hours=1))
    ReceivedReply.objects.filter(next_attempt_at__isnull=False).update(
        next_attempt_at=timezone.now()
    )


def test_open_submissions_are_superseded(ada):
    """C124, SG48: graders cannot pull submissions of a deleted state."""
    answer(ada)
    answer(ada, "key-2", OTHER_PROBLEM)
    assert delete_state(ada, COURSE, PROBLEM) is True
    assert (status_of("key-1"), status_of("key-2")) == (Status.SUPERSEDED, Status.WAITING)
    other = Submission.objects.get(queue_key="key-2")
    assert make_grader().pull().submission_id == other.pk
    assert learner_state.read_state(ada, PROBLEM, COURSE) is None
    assert learner_state.read_state(ada, OTHER_PROBLEM, COURSE) is not None


def test_late_reply_is_stale(ada):
    """C124, SG48: a result for a deleted state gets success; its reply changes no state."""
    answer(ada)
    grader = make_grader()
    handed = grader.pull()
    delete_state(ada, COURSE, PROBLEM)
    assert grader.put(handed.header) == {"return_code": 0, "content": ""}
    assert status_of("key-1") == Status.ANSWERED
    expire_stale_after()
    grader_replies.apply_due()
    assert ReceivedReply.objects.get().status == ReceivedReply.Status.STALE
    assert learner_state.read_state(ada, PROBLEM, COURSE) is None
    assert learner_state.read_score(ada, PROBLEM, COURSE).earned is None


def test_repeated_late_reply_is_stored_once(ada):
    """C87, C124: the same late result posted twice gets success twice and is stored once."""
    answer(ada)
    grader = make_grader()
    handed = grader.pull()
    delete_state(ada, COURSE, PROBLEM)
    assert [grader.put(handed.header)["return_code"] for _ in range(2)] == [0, 0]
    assert ReceivedReply.objects.count() == 1


def test_invalid_late_reply_is_an_error(ada):
    """C92: an invalid late reply is rejected, and the submission stays out of the queue."""
    answer(ada)
    grader = make_grader()
    handed = grader.pull()
    delete_state(ada, COURSE, PROBLEM)
    assert grader.put(handed.header, "garbage")["return_code"] == 1
    assert status_of("key-1") == Status.SUPERSEDED
    assert grader.pull() is None


def test_pending_reply_is_stale(ada):
    """C124, SG48: a reply that was stored before the deletion is not applied."""
    submission_queue.enqueue(new_submission(user_id=ada))
    grader = make_grader()
    grader.put(grader.pull().header)  # before the state is saved, so the reply is pending
    learner_state.save_fields(ada, COURSE, PROBLEM, {"seed": 1})
    delete_state(ada, COURSE, PROBLEM)
    expire_stale_after()
    grader_replies.apply_due()
    assert ReceivedReply.objects.get().status == ReceivedReply.Status.STALE
    assert learner_state.read_state(ada, PROBLEM, COURSE) is None


def test_next_attempt_is_graded(ada):
    """C124: an answer after the deletion is graded as usual."""
    answer(ada)
    delete_state(ada, COURSE, PROBLEM)
    answer(ada, "key-2")
    grader = make_grader()
    grader.put(grader.pull().header, GOOD_REPLY)
    assert learner_state.read_score(ada, PROBLEM, COURSE).earned == 1
    assert status_of("key-1") == Status.SUPERSEDED


def test_submission_waits_again_if_an_old_state_is_saved(ada):
    """C118: if a page loaded before the deletion saves its state, the submission waits again."""
    answer(ada)
    delete_state(ada, COURSE, PROBLEM)
    learner_state.save_fields(ada, COURSE, PROBLEM, waiting_state(loops_2_1="key-1"))
    assert status_of("key-1") == Status.WAITING


def test_state_of_another_learner_does_not_change(ada):
    bob = get_user_model().objects.create_user("bob").pk
    answer(ada)
    answer(bob, "key-2")
    delete_state(ada, COURSE, PROBLEM)
    assert status_of("key-2") == Status.WAITING


def test_missing_state_is_not_deleted(ada):
    assert has_state(ada, COURSE, PROBLEM) is False
    assert delete_state(ada, COURSE, PROBLEM) is False
    submission_queue.enqueue(new_submission(user_id=ada))
    assert has_state(ada, COURSE, PROBLEM) is True
    assert delete_state(ada, COURSE, PROBLEM) is True
    assert delete_state(ada, COURSE, PROBLEM) is False


def test_reset_keeps_open_submissions(ada):
    """SG48: a submission in the queue is still graded after a reset of the attempts."""
    answer(ada)
    assert reset_attempts(ada, COURSE, PROBLEM) is True
    grader = make_grader()
    grader.put(grader.pull().header)
    assert learner_state.read_score(ada, PROBLEM, COURSE).earned == 1


def test_error_rolls_the_deletion_back(ada, monkeypatch):
    """SG48: if the state cannot be deleted, its submissions stay in the queue."""
    answer(ada)

    def fail(*args: object, **options: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(deletion, "clear_state", fail)
    with pytest.raises(RuntimeError):
        delete_state(ada, COURSE, PROBLEM)
    assert status_of("key-1") == Status.WAITING


def test_number_of_statements(ada, django_assert_num_queries):
    """Find and supersede, lock, write, add a history entry, in one transaction with a savepoint.

    After the commit, one for the submissions to the keys that the state waited for.
    """
    answer(ada)
    with django_assert_num_queries(9 + LOCK):
        delete_state(ada, COURSE, PROBLEM)
