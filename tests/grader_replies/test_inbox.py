"""The inbox: replies are stored before they are processed."""

from __future__ import annotations

import pytest
from django.db import transaction

from tests.grader_replies.factories import (
    GOOD,
    make_learner,
    make_reply,
    make_submission,
    received_signals,
)
from xqueue_bridge.grader_replies import api
from xqueue_bridge.grader_replies.inbox import failure_reply
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.signals import reply_not_applied, reply_received

Status = ReceivedReply.Status


@pytest.fixture
def submission(db):
    return make_submission(make_learner())


def store(submission, body=GOOD):
    return api.store_reply(submission.pk, "put_result", body, reply=api.parse_reply(body))


def test_valid_reply_is_stored_as_pending(submission):
    """C91: a reply is stored first and applied later."""
    row = ReceivedReply.objects.get(pk=store(submission))
    assert (row.body, row.status, row.score_given) == (GOOD, Status.PENDING, 1)
    assert row.next_attempt_at == row.received_at
    assert row.submission == submission


def test_invalid_reply_is_stored_as_rejected(submission):
    """C92, C112: an invalid reply is kept for operators and never due."""
    reply_id = api.store_reply(
        submission.pk, "callback", "nonsense", reply=None, error="xqueue_body: must be JSON"
    )
    row = ReceivedReply.objects.get(pk=reply_id)
    assert (row.body, row.status, row.next_attempt_at) == ("nonsense", Status.REJECTED, None)
    assert row.last_error == "xqueue_body: must be JSON"
    assert api.apply_reply(reply_id) == Status.REJECTED
    assert api.apply_due() == 0


def test_characters_that_databases_refuse_are_replaced(submission):
    reply_id = api.store_reply(submission.pk, "callback", "a\x00b\ud800", reply=None, error="x")
    assert ReceivedReply.objects.get(pk=reply_id).body == "a\ufffdb?"


def test_failure_reply_is_stored_as_pending_with_source_system(submission):
    """C123: a failure reply is stored and applied like a grader's reply."""
    row = ReceivedReply.objects.get(pk=api.store_failure_reply(submission.pk))
    assert (row.body, row.source, row.status) == (failure_reply(), "system", Status.PENDING)


def test_repeated_reply_is_a_duplicate_unless_it_was_rejected(submission):
    """C116: an equal reply is found, unless it was rejected."""
    assert not api.record_if_duplicate(submission.pk, GOOD)
    store(submission)
    assert api.record_if_duplicate(submission.pk, GOOD)
    assert not api.record_if_duplicate(submission.pk, GOOD.replace("tests", "TESTS"))
    api.store_reply(submission.pk, "callback", "nonsense", reply=None)
    assert not api.record_if_duplicate(submission.pk, "nonsense")


def test_pending_replies_are_counted_by_queue(submission):
    assert api.pending_by_queue(except_of="unmatched") == {}
    make_reply(submission)
    make_reply(submission)
    make_reply(submission, status=Status.APPLIED)
    make_reply(submission, status=Status.DEAD, next_attempt_at=None)
    assert api.pending_by_queue(except_of="unmatched") == {"python": 2}
    assert api.pending_by_queue(except_of=submission.status) == {}


def test_signals_are_sent_after_the_commit(submission, django_capture_on_commit_callbacks):
    with (
        received_signals(reply_received) as received,
        received_signals(reply_not_applied) as refused,
    ):
        with django_capture_on_commit_callbacks(execute=True):
            good = store(submission)
            bad = api.store_reply(submission.pk, "callback", "x", reply=None, error="why")
            assert received == refused == []
    assert received == [{"reply_id": good, "submission_id": submission.pk}]
    assert refused == [{"reply_id": bad, "status": "rejected", "error": "why"}]


@pytest.mark.django_db(transaction=True)
def test_store_reply_takes_one_statement(django_assert_num_queries):
    """C90: the grader waits for one INSERT in the caller's transaction."""
    submission = make_submission(make_learner())
    with transaction.atomic(), django_assert_num_queries(1):
        store(submission)
