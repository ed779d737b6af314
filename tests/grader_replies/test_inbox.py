"""Replies are stored as they came."""

from __future__ import annotations

import pytest
from django.db import transaction

from tests.grader_replies.factories import GOOD, heard, make_learner, make_reply, make_submission
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


def test_it_works(submission):
    """C91: a reply is stored, and applied later, independent of the LMS."""
    row = ReceivedReply.objects.get(pk=store(submission))
    assert (row.body, row.status, row.score_given) == (GOOD, Status.PENDING, 1)
    assert row.next_attempt_at == row.received_at
    assert row.submission == submission


def test_what_is_no_reply_is_kept_for_operators(submission):
    """C92, C112: a refused reply is never due."""
    reply_id = api.store_reply(
        submission.pk, "callback", "nonsense", reply=None, error="xqueue_body: must be JSON"
    )
    row = ReceivedReply.objects.get(pk=reply_id)
    assert (row.body, row.status, row.next_attempt_at) == ("nonsense", Status.REJECTED, None)
    assert row.last_error == "xqueue_body: must be JSON"
    assert api.apply_reply(reply_id) == Status.REJECTED
    assert api.apply_due() == 0


def test_text_that_no_database_takes_is_kept_readable(submission):
    reply_id = api.store_reply(submission.pk, "callback", "a\x00b\ud800", reply=None, error="x")
    assert ReceivedReply.objects.get(pk=reply_id).body == "a\ufffdb?"


def test_the_notice_is_a_reply_from_us(submission):
    """C123: a failure reply is stored and applied like a grader's reply."""
    row = ReceivedReply.objects.get(pk=api.store_failure_reply(submission.pk))
    assert (row.body, row.source, row.status) == (failure_reply(), "system", Status.PENDING)


def test_a_repeated_reply_is_known(submission):
    """C116: the same reply again is recognised; a refused one does not count."""
    assert not api.record_if_duplicate(submission.pk, GOOD)
    store(submission)
    assert api.record_if_duplicate(submission.pk, GOOD)
    assert not api.record_if_duplicate(submission.pk, GOOD.replace("tests", "TESTS"))
    api.store_reply(submission.pk, "callback", "nonsense", reply=None)
    assert not api.record_if_duplicate(submission.pk, "nonsense")


def test_undelivered_are_counted_by_queue(submission):
    assert api.undelivered_by_queue() == {}
    make_reply(submission)
    make_reply(submission)
    make_reply(submission, status=Status.APPLIED)
    make_reply(submission, status=Status.DEAD, next_attempt_at=None)
    assert api.undelivered_by_queue() == {"python": 2}


def test_others_hear_of_it_after_the_commit(submission, django_capture_on_commit_callbacks):
    with heard(reply_received) as received, heard(reply_not_applied) as refused:
        with django_capture_on_commit_callbacks(execute=True):
            good = store(submission)
            bad = api.store_reply(submission.pk, "callback", "x", reply=None, error="why")
            assert received == refused == []
    assert received == [{"reply_id": good, "submission_id": submission.pk}]
    assert refused == [{"reply_id": bad, "status": "rejected", "error": "why"}]


@pytest.mark.django_db(transaction=True)
def test_storing_is_one_statement(django_assert_num_queries):
    """C90: what the grader waits for is one INSERT in the transaction of its caller."""
    submission = make_submission(make_learner())
    with transaction.atomic(), django_assert_num_queries(1):
        store(submission)
