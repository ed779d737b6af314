"""The verbs of a work queue, on the table of received replies."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.grader_replies.factories import make_learner, make_reply, make_submission
from xqueue_bridge.db.work_item import MAX_ERROR
from xqueue_bridge.grader_replies.models import ReceivedReply

pytestmark = pytest.mark.django_db

Status = ReceivedReply.Status
MINUTE = timedelta(minutes=1)


@pytest.fixture
def row() -> ReceivedReply:
    return make_reply(make_submission(make_learner()))


def stored(row: ReceivedReply) -> tuple[str, int, object, str]:
    fresh = ReceivedReply.objects.get(pk=row.pk)
    return fresh.status, fresh.attempts, fresh.next_attempt_at, fresh.last_error


def test_due_rows_come_longest_overdue_first(row):
    """C106: rows without work and rows that are due later are not selected."""
    now = timezone.now()
    first, second, _later, _done = (
        make_reply(row.submission, next_attempt_at=at)
        for at in (now - 2 * MINUTE, now - MINUTE, now + MINUTE, None)
    )
    assert list(ReceivedReply.objects.due()) == [first, second, row]
    assert list(ReceivedReply.objects.due(2)) == [first, second]


def test_of_two_claims_the_first_is_made(row, django_assert_num_queries):
    """C118: one statement; the row that lost has the values that it had."""
    rival = ReceivedReply.objects.get(pk=row.pk)
    until = timezone.now() + MINUTE
    row.attempts += 1
    with django_assert_num_queries(1):
        assert ReceivedReply.objects.claim(row, until, last_error="begun")
    assert stored(row) == (Status.PENDING, 1, until, "begun")
    assert (row.next_attempt_at, row.last_error) == (until, "begun")
    assert not ReceivedReply.objects.claim(rival, until + MINUTE)
    assert rival.next_attempt_at != until
    assert stored(row)[2] == until


@pytest.mark.parametrize("change", [{"status": Status.DEAD}, {"next_attempt_at": None}])
def test_a_row_that_was_changed_is_not_written(row, change):
    """C116: the result of an attempt is dropped if another process has ended the work."""
    ReceivedReply.objects.filter(pk=row.pk).update(**change)
    before = stored(row)
    assert not ReceivedReply.objects.schedule_retry(row, "x", timezone.now())
    assert not ReceivedReply.objects.mark_final(row, status=Status.APPLIED)
    assert stored(row) == before


def test_a_retry_has_its_time_and_the_error(row, django_assert_num_queries):
    at = timezone.now() + MINUTE
    row.attempts = 3
    with django_assert_num_queries(1):
        assert ReceivedReply.objects.schedule_retry(row, "e" * 300, at)
    assert stored(row) == (Status.PENDING, 3, at, "e" * MAX_ERROR)


def test_a_final_row_has_no_next_attempt(row, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert ReceivedReply.objects.mark_final(row, "gone", status=Status.DEAD)
    assert stored(row) == (Status.DEAD, 0, None, "gone")
    assert not ReceivedReply.objects.due()


def test_retry_makes_the_selected_rows_due_as_new(row, django_assert_num_queries):
    """C106: only rows of the query; their count of attempts begins again."""
    dead = make_reply(row.submission, status=Status.DEAD, next_attempt_at=None, attempts=24)
    other = make_reply(row.submission, status=Status.DEAD, next_attempt_at=None)
    rows = ReceivedReply.objects.filter(status=Status.DEAD)
    with django_assert_num_queries(1):
        assert rows.retry([dead.pk, row.pk], status=Status.PENDING) == 1
    assert stored(dead)[:2] == (Status.PENDING, 0)
    assert list(ReceivedReply.objects.due()) == [row, dead]
    assert stored(other)[0] == Status.DEAD
