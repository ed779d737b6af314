"""An older grade is never sent after a newer one."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from tests.credentials.factories import COURSE, make_due, make_learner, row_of, store_grade
from tests.credentials.factories import enqueue as enqueue_grade
from tests.doubles.credentials import Fault
from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.credentials import api, client, outbox
from xqueue_bridge.credentials import send as sending
from xqueue_bridge.credentials.models import GradeOutbox
from xqueue_bridge.credentials.send import Outcome, send_grade

pytestmark = pytest.mark.django_db(transaction=True)


def test_retry_for_an_older_grade_sends_nothing(credentials, ada):
    """SG81: a task for an older grade is superseded; the newer one has its own task."""
    old = row_of(ada).wanted_modified
    credentials.faults = [Fault(503)]
    assert send_grade("ada", COURSE, last_updated=old).outcome is Outcome.RETRY
    new = store_grade(ada, 0.9)
    enqueue_grade(ada)
    make_due()
    assert send_grade("ada", COURSE, last_updated=new.modified).outcome is Outcome.SENT
    assert send_grade("ada", COURSE, last_updated=old).outcome is Outcome.SUPERSEDED
    assert credentials.statuses == [503, 201]
    assert credentials.stale_writes == 0
    assert credentials.grade("ada", COURSE)["percent_grade"] == Decimal("0.9000")


def test_task_for_an_older_grade_before_the_newer_one_sends_nothing(credentials, ada):
    """SG81: an older task sends nothing, and the newer grade is sent by its own task."""
    old = row_of(ada).wanted_modified
    new = store_grade(ada, 0.9)
    assert send_grade("ada", COURSE, last_updated=old).outcome is Outcome.SUPERSEDED
    assert credentials.posts == []
    enqueue_grade(ada)
    assert send_grade("ada", COURSE, last_updated=new.modified).outcome is Outcome.SENT


def test_grade_that_changes_during_a_send_is_sent_after_it(credentials, ada, monkeypatch):
    """SG81: the sender of the older grade sends the newer one after it."""
    post = sending.post_grade

    def post_and_change(*args):
        post(*args)
        monkeypatch.setattr(sending, "post_grade", post)
        store_grade(ada, 0.95)
        assert enqueue_grade(ada)
        assert send_grade("ada", COURSE).outcome is Outcome.NOT_DUE

    monkeypatch.setattr(sending, "post_grade", post_and_change)
    assert send_grade("ada", COURSE).outcome is Outcome.SENT
    assert [post.message["percent_grade"] for post in credentials.posts] == [0.8, 0.95]
    assert credentials.stale_writes == 0
    assert row_of(ada).status == "sent"


def test_grade_that_changes_during_a_failing_attempt_has_0_attempts(credentials, ada, monkeypatch):
    """SG80, SG81: the newer grade has its own eleven attempts, after the same interval."""
    post = sending.post_grade
    credentials.faults = [Fault(503)]

    def change_and_post(*args):
        store_grade(ada, 0.95)
        enqueue_grade(ada)
        post(*args)

    monkeypatch.setattr(sending, "post_grade", change_and_post)
    GradeOutbox.objects.update(attempts=5)
    assert send_grade("ada", COURSE).outcome is Outcome.RETRY
    row = row_of(ada)
    assert (row.status, row.attempts, row.last_error) == ("pending", 0, "HTTP 503")
    assert row.next_attempt_at > timezone.now() + timedelta(seconds=60)


def test_grade_that_was_sent_before_it_is_enqueued_is_posted_once(credentials, ada):
    """A send takes the latest stored grade; the row that is enqueued later needs no POST."""
    store_grade(ada, 0.95)
    assert api.send_due() == 1
    assert enqueue_grade(ada)
    assert send_grade("ada", COURSE).outcome is Outcome.SENT
    assert [post.message["percent_grade"] for post in credentials.posts] == [0.95]


@pytest.mark.parametrize("answers", [[], [401]])
def test_process_whose_claim_is_about_to_end_posts_nothing(credentials, ada, monkeypatch, answers):
    """SG81: a process whose claim is about to end posts nothing: another one may claim the row.

    The time passes while it requests a token: the first one, or the one after a 401.
    """
    credentials.faults = [Fault(status) for status in answers]
    tokens = iter([*answers, "the last one"])
    access_token, now = client.access_token, timezone.now()

    def take_long(*args, **kwargs):
        if next(tokens) == "the last one":
            late = now + outbox.CLAIM * 0.75
            monkeypatch.setattr(timezone, "now", lambda: late)
        return access_token(*args, **kwargs)

    monkeypatch.setattr(client, "access_token", take_long)
    assert send_grade("ada", COURSE).outcome is Outcome.RETRY
    assert credentials.statuses == answers
    assert (row_of(ada).status, row_of(ada).last_error) == ("pending", "no time left")


@pytest.mark.parametrize("is_sent", [True, False])
def test_grade_that_changes_before_the_claim_ends_is_due_at_once(credentials, ada, is_sent):
    """SG80, SG81: whether the older grade was sent or refused, the newer one is pending."""
    claimed, old = row_of(ada), PersistentCourseGrade.objects.get().stored_version
    assert outbox.claim(claimed)
    bob = make_learner("bob")
    store_grade(bob)
    enqueue_grade(bob)
    GradeOutbox.objects.update(status="sending", next_attempt_at=claimed.next_attempt_at)
    store_grade(ada, 0.95)
    enqueue_grade(ada)
    if is_sent:
        assert not outbox.mark_sent(claimed, old)
    else:
        assert not outbox.mark_failed(claimed, "HTTP 400")
    row = row_of(ada)
    assert (row.status, row.attempts) == ("pending", 0)
    assert row.next_attempt_at <= timezone.now()
    assert row.last_error == ("" if is_sent else "HTTP 400")
    assert row.sent_version == (old.version if is_sent else None)
    assert row_of(bob).status == "sending"


def test_sender_that_lost_its_claim_leaves_it_to_another_one(credentials, ada):
    """SG81: the row, whose grade has changed, is being sent by another process."""
    lost = row_of(ada)
    assert outbox.claim(lost)
    store_grade(ada, 0.95)
    enqueue_grade(ada)
    make_due()
    assert outbox.claim(row_of(ada))
    assert outbox.mark_failed(lost, "too late")
    assert row_of(ada).status == "sending"


def test_sender_that_lost_its_claim_does_not_change_the_row(credentials, ada):
    """A late sender does not overwrite the status that the next sender wrote."""
    lost = row_of(ada)
    assert outbox.claim(lost)
    make_due()
    send_grade("ada", COURSE)
    outbox.mark_failed(lost, "too late")
    assert row_of(ada).status == "sent"


@pytest.mark.parametrize("attempts", [0, outbox.MAX_ATTEMPTS - 1])
def test_grade_that_changes_after_a_kill_has_0_attempts(credentials, ada, attempts):
    """SG79, SG80: the new grade has its own attempts, however many the former one had."""
    GradeOutbox.objects.update(attempts=attempts)
    assert outbox.claim(row_of(ada))
    store_grade(ada, 0.9)
    enqueue_grade(ada)
    make_due()
    assert api.send_due() == 1
    assert credentials.grade("ada", COURSE)["percent_grade"] == Decimal("0.9000")
    assert (row_of(ada).status, row_of(ada).attempts) == ("sent", 1)


def test_change_before_the_last_attempt_fails_keeps_the_row_due(credentials, ada):
    """SG79, SG80: the claim for the grade that was read fails; the newer grade stays due."""
    GradeOutbox.objects.update(attempts=outbox.MAX_ATTEMPTS - 1)
    assert outbox.claim(row_of(ada))
    make_due()
    seen = row_of(ada)
    store_grade(ada, 0.9)
    enqueue_grade(ada)
    assert not outbox.claim(seen)
    assert api.send_due() == 1
    assert row_of(ada).status == "sent"


def test_eight_concurrent_threads_post_a_grade_once(credentials, ada):
    """SG79, SG81: eight senders at once post one grade once."""
    start = threading.Barrier(8)
    credentials.always = Fault(201, seconds=0.1, after_work=True)

    def send():
        try:
            start.wait(timeout=20)
            send_grade("ada", COURSE)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(credentials.posts) == 1
    assert row_of(ada).status == "sent"
