"""Replies of many learners are applied in one transaction."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.grader_replies.factories import (
    BLOCK,
    COURSE,
    GOOD,
    OLD,
    make_learner,
    make_reply,
    make_state,
    make_submission,
    received_signals,
    waiting_state,
)
from tests.learner_state.test_user_state import LOCK
from tests.processes import in_processes
from xqueue_bridge import api as public
from xqueue_bridge.course_grades.models import GradeRecalculation
from xqueue_bridge.grader_replies import api, apply, batch
from xqueue_bridge.grader_replies.backends.student_module import StudentModuleBackend
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.signals import reply_applied, reply_not_applied
from xqueue_bridge.worker import enqueue

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]

Status = ReceivedReply.Status
HALF = json.dumps({"correct": False, "score": 0.5, "msg": "<p>half</p>"})


@pytest.fixture
def batches(monkeypatch) -> list[int]:
    """Record the size of each batch that the backend applies."""
    sizes = []
    apply_batch = StudentModuleBackend.apply_batch

    def record(self, replies, on_applied):
        sizes.append(len(replies))
        return apply_batch(self, replies, on_applied)

    monkeypatch.setattr(StudentModuleBackend, "apply_batch", record)
    return sizes


def replies_of(number: int, body: str = GOOD) -> list[ReceivedReply]:
    replies = []
    for n in range(number):
        user_id = make_learner(f"learner{n}")
        make_state(user_id)
        replies.append(make_reply(make_submission(user_id), body if n % 2 else GOOD))
    return replies


def statuses() -> list[tuple[str, int]]:
    return list(ReceivedReply.objects.order_by("pk").values_list("status", "attempts"))


def test_replies_of_fifty_learners_are_applied_in_one_transaction(
    batches, django_assert_num_queries
):
    """C90, C113: fifty scores reach fifty states, with a constant number of statements.

    They are: due replies, submissions, BEGIN, lock, states, history, replies, ledger, COMMIT.
    """
    replies = replies_of(50, HALF)
    with received_signals(reply_applied) as received, django_assert_num_queries(8 + LOCK):
        assert api.apply_due() == 50
    assert batches == [50]
    assert statuses() == [(Status.APPLIED, 1)] * 50
    grades = dict(StudentModule.objects.values_list("student_id", "grade"))
    expected = {reply.submission.user_id: 0.5 if n % 2 else 1 for n, reply in enumerate(replies)}
    assert grades == expected
    stored = ReceivedReply.objects.order_by("pk").values_list("score_applied", flat=True)
    assert list(stored) == list(expected.values())
    assert dict(ScoreLedger.objects.values_list("user_id", "earned")) == expected
    assert StudentModuleHistory.objects.filter(reason="reply").count() == 50
    assert {sent["user_id"]: sent["points"] for sent in received} == expected
    assert api.apply_due() == 0


def test_grades_of_fifty_learners_are_requested_by_one_statement(
    settings, monkeypatch, django_assert_num_queries
):
    """SG39, SG43: in the transaction of the scores, for all of them."""
    settings.XQUEUE_BRIDGE = {}
    monkeypatch.setitem(enqueue._kinds, "recalculate_grade", enqueue.Kind(task=None))
    replies_of(50)
    with django_assert_num_queries(9 + LOCK):
        assert api.apply_due() == 50
    assert GradeRecalculation.objects.exclude(next_attempt_at=None).count() == 50


def test_two_replies_are_one_batch_and_one_reply_is_none(batches):
    """C90: a reply that is alone is applied as if it had come alone."""
    first, *others = replies_of(3, HALF)
    apply.apply_replies([first.pk])
    assert batches == []
    apply.apply_replies([each.pk for each in others])
    assert batches == [2]
    assert statuses() == [(Status.APPLIED, 1)] * 3
    applied = ReceivedReply.objects.order_by("pk").values_list("score_applied", "answer_id")
    assert list(applied) == [(1, "a_2_1"), (0.5, "a_2_1"), (1, "a_2_1")]


def test_replies_to_one_block_are_applied_in_order(batches):
    """C24, C118: each part of a problem is one write; a second reply to a key is stale."""
    first, second = make_learner("ada"), make_learner("bob")
    for user_id in (first, second):
        make_state(user_id, waiting_state(a_2_1="key-1", a_3_1="key-2"))
    points = {"a_2_1": 1, "a_3_1": 1}
    for user_id in (first, second):
        early = make_submission(user_id, "key-1", points=points, age=OLD)
        make_reply(early, HALF, next_attempt_at=timezone.now() - timedelta(seconds=5))
        make_reply(make_submission(user_id, "key-2", points=points))
        make_reply(early, GOOD)
    assert api.apply_due() == 6
    assert batches == [2, 2, 2]
    applied, stale = (Status.APPLIED, 1), (Status.STALE, 1)
    assert statuses() == [applied, applied, stale] * 2
    for user_id in (first, second):
        assert public.read_score(user_id, BLOCK, COURSE) == public.RawScore(1.5, 2)
    assert StudentModuleHistory.objects.filter(reason="reply").count() == 4


def test_replies_that_cannot_be_applied_are_attempted_alone(batches):
    """C20, C107, C111: they do not delay the other replies of the batch."""
    good = replies_of(3)
    early = make_reply(make_submission(make_learner("early")))
    unknown = make_reply(make_submission(4711, age=OLD))
    late_learner = make_learner("late")
    make_state(late_learner, waiting_state(a_2_1="another key"))
    late = make_reply(make_submission(late_learner, age=OLD))
    with received_signals(reply_not_applied) as refused:
        assert api.apply_due() == 6
    assert batches == [6]
    assert statuses() == [(Status.APPLIED, 1)] * 3 + [
        (Status.PENDING, 1),
        (Status.PENDING, 1),
        (Status.STALE, 1),
    ]
    assert [sent["reply_id"] for sent in refused] == [late.pk]
    unknown.refresh_from_db()
    assert unknown.last_error == "There is no such learner."
    early.refresh_from_db()
    assert early.next_attempt_at > timezone.now()
    assert len(good) == ScoreLedger.objects.filter(outcome="applied").count()


def test_after_an_error_the_replies_are_applied_one_by_one(monkeypatch, caplog):
    """C106, C116: the transaction of the batch is undone; the reply at fault fails alone."""
    _, at_fault, _ = replies_of(3)
    save_rows = batch.retry.learner_state.save_rows

    def fail(rows, *args, **kwargs):
        save_rows(rows, *args, **kwargs)
        if at_fault.submission.user_id in [row.student_id for row in rows]:
            raise RuntimeError("private-text")

    monkeypatch.setattr(batch.retry.learner_state, "save_rows", fail)
    assert api.apply_due() == 3
    assert statuses() == [(Status.APPLIED, 1), (Status.PENDING, 1), (Status.APPLIED, 1)]
    assert StudentModuleHistory.objects.filter(reason="reply").count() == 2
    assert "A batch of 3 replies was not applied: RuntimeError" in caplog.text
    assert "private-text" not in caplog.text


def test_large_feedback_is_split_into_several_transactions(batches, monkeypatch):
    """C90: the memory for one transaction is bounded."""
    replies = replies_of(6)
    monkeypatch.setattr(batch, "BATCH_CHARACTERS", 2 * len(replies[0].message))
    assert api.apply_due() == 6
    assert batches == [2, 2, 2]
    assert statuses() == [(Status.APPLIED, 1)] * 6


def test_number_of_replies_in_one_transaction_is_bounded(batches, monkeypatch):
    """C90: it locks as many learners' states until its end."""
    replies_of(5)
    monkeypatch.setattr(batch, "BATCH_SIZE", 2)
    assert api.apply_due() == 5
    assert batches == [2, 2]
    assert statuses() == [(Status.APPLIED, 1)] * 5


def test_reply_that_another_process_has_attempted_is_not_in_a_batch(batches):
    """C106: its next attempt is due later."""
    first, *others = replies_of(3)
    later = timezone.now() + timedelta(minutes=1)
    ReceivedReply.objects.filter(pk=first.pk).update(attempts=1, next_attempt_at=later)
    apply.apply_replies([first.pk, *(each.pk for each in others)])
    assert batches == [2]
    assert statuses() == [(Status.PENDING, 1)] + [(Status.APPLIED, 1)] * 2


def test_replaced_and_invalid_replies_are_not_in_a_batch(batches):
    """C21, C112: they are attempted alone and change no state."""
    replies_of(2)
    user_id = make_learner("ada")
    make_state(user_id)
    make_reply(make_submission(user_id, age=OLD))
    make_submission(user_id)
    make_reply(make_submission(user_id, "key-9"), correct=None, message="")
    assert api.apply_due() == 4
    assert batches == [2]
    assert [status for status, _ in statuses()[2:]] == [Status.STALE, Status.REJECTED]
    assert public.read_score(user_id, BLOCK, COURSE).earned == 0


def test_three_concurrent_sweepers_apply_each_reply_once(settings):
    """C116, C118: all read the same due replies; the first one applies them."""
    replies_of(20)
    connection.close()
    in_processes([api.apply_due] * 3)
    assert [status for status, _ in statuses()] == [Status.APPLIED] * 20
    assert StudentModuleHistory.objects.filter(reason="reply").count() == 20
    assert ScoreLedger.objects.filter(outcome="applied").count() == 20
