"""Which replies are tried again, and the status that a caller gets of a reply that changed."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from tests.grader_replies.factories import (
    BLOCK,
    COURSE,
    OLD,
    make_learner,
    make_reply,
    make_state,
    make_submission,
    received_signals,
)
from xqueue_bridge.data import ApplyResult, Dispatch
from xqueue_bridge.grader_replies import api, inbox, retry
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.signals import reply_applied

pytestmark = pytest.mark.django_db(transaction=True)

Status = ReceivedReply.Status


@pytest.fixture
def ada() -> int:
    return make_learner()


def test_only_dead_replies_are_retried(ada):
    """C107: a stale, invalid or late reply stays as it is, and one that is unknown is none."""
    submission = make_submission(ada, age=OLD)
    ids = {}
    for status in Status:
        pending = timezone.now() if status == Status.PENDING else None
        ids[status] = make_reply(submission, status=status, next_attempt_at=pending).pk
    before = dict(ReceivedReply.objects.values_list("pk", "status"))
    assert api.retry_dead([*ids.values(), 4711]) == 1
    after = dict(ReceivedReply.objects.values_list("pk", "status"))
    assert after == {**before, ids[Status.DEAD]: Status.PENDING}


def test_reply_with_more_attempts_than_the_maximum_is_dead(ada, settings, caplog):
    """C107: after an operator has lowered MAX_ATTEMPTS."""
    settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 3}
    reply = make_reply(make_submission(ada), attempts=7)
    retry.schedule_retry_or_bury(reply, "no answer", 3)
    reply.refresh_from_db()
    assert (reply.status, reply.next_attempt_at) == (Status.DEAD, None)
    of = f"Reply {reply.pk} (submission {reply.submission_id}, learner {ada}, block {BLOCK})"
    assert [record.getMessage() for record in caplog.records] == [
        f"{of}, attempt 7: no answer",
        f"{of} is dead: no answer",
    ]


def test_applied_reply_is_in_the_ledger_with_its_points_and_its_submission(ada):
    """C88, C113: its row names the answer too, within the column's length."""
    reply = make_reply(make_submission(ada))
    retry.mark_applied([(reply, ApplyResult(True, 1, 2, "a" * 300))])
    [row] = ScoreLedger.objects.all()
    assert (row.earned, row.possible, row.attempt) == (1, 2, reply.submission_id)
    assert (row.user_id, row.course_key, row.usage_key) == (ada, COURSE, BLOCK)
    assert (row.outcome, row.digest) == ("applied", reply.digest)
    reply.refresh_from_db()
    assert reply.answer_id == "a" * 255


def test_output_of_a_trial_run_is_not_in_the_ledger(ada):
    """C25, C121: it has no score, and its signal has none."""
    reply = make_reply(make_submission(ada, dispatch=Dispatch.UNGRADED_RESPONSE))
    with received_signals(reply_applied) as received:
        retry.mark_applied([(reply, ApplyResult(True))])
    assert [each["points"] for each in received] == [None]
    reply.refresh_from_db()
    assert reply.status == Status.APPLIED
    assert not ScoreLedger.objects.exists()


def test_signal_is_sent_again_only_with_other_points(ada):
    """C121: a reply is applied again after it was overwritten, perhaps with other points."""
    reply = make_reply(make_submission(ada))
    with received_signals(reply_applied) as received:
        for points in (1, 1, 0.5):
            retry.mark_applied([(reply, ApplyResult(True, points, 1))])
            reply.refresh_from_db()
    assert [each["points"] for each in received] == [1, 0.5]


def test_caller_gets_the_status_that_another_process_has_stored(ada):
    """C106: an attempt that comes late changes nothing, and says what is true."""
    make_state(ada)
    reply = make_reply(make_submission(ada))
    ReceivedReply.objects.filter(pk=reply.pk).update(
        status=Status.APPLIED, next_attempt_at=None, attempts=1
    )
    retry.schedule_retry_or_bury(reply, "no answer", 24)
    assert reply.status == Status.APPLIED
    assert ReceivedReply.objects.get().status == Status.APPLIED
    late = make_reply(make_submission(ada, "key-2"))
    ReceivedReply.objects.filter(pk=late.pk).update(status=Status.STALE, attempts=1)
    retry.mark_final(late, Status.DEAD, "no answer")
    assert late.status == Status.STALE
    assert dict(ReceivedReply.objects.values_list("pk", "status")) == {
        reply.pk: Status.APPLIED,
        late.pk: Status.STALE,
    }


def test_queries_about_one_submission_read_no_reply_to_another(ada):
    """C87, C127: another submission has an applied failure reply and a valid reply."""
    other, own = make_submission(ada), make_submission(ada, "key-2")
    system = json.dumps({"correct": None, "score": 0, "msg": "failed"})
    failure = make_reply(other, system, status=Status.APPLIED, next_attempt_at=None)
    valid = make_reply(other, status=Status.APPLIED, next_attempt_at=None)
    make_reply(own, status=Status.REJECTED, next_attempt_at=None)
    make_reply(own, system)
    ReceivedReply.objects.filter(body=system).update(source="system")
    assert inbox.is_failure_applied(other.pk)
    assert not inbox.is_failure_applied(own.pk)
    assert inbox.has_valid_reply(other.pk)
    assert not inbox.has_valid_reply(own.pk)
    assert inbox.record_if_duplicate(other.pk, valid.body)
    assert not inbox.record_if_duplicate(own.pk, valid.body)
    assert inbox.submissions_with_replies([own.pk]) == (set(), {own.pk})
    inbox.cancel_failure_replies(own.pk)
    assert ReceivedReply.objects.get(pk=failure.pk).status == Status.APPLIED
    cancelled = ReceivedReply.objects.get(submission=own, source="system")
    assert (cancelled.status, cancelled.next_attempt_at) == (Status.REJECTED, None)
    assert cancelled.last_error == "the submission was requeued"
