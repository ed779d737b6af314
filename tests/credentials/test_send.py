"""Attempts to send a grade: outcomes, retries, the sweeper and the outbox."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
import requests
import time_machine
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tests.credentials.factories import (
    COURSE,
    OTHER_COURSE,
    THE_PAST,
    make_due,
    make_learner,
    row_of,
    store_grade,
    stored,
)
from tests.credentials.factories import enqueue as enqueue_grade
from tests.doubles.credentials import DROPPED, Fault
from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.credentials import api, outbox, send
from xqueue_bridge.credentials.models import GradeOutbox
from xqueue_bridge.credentials.send import LONGEST_DELAY, Outcome, retry_delay, send_grade

pytestmark = pytest.mark.django_db(transaction=True)


def test_second_send_of_a_grade_posts_nothing(credentials, ada):
    """SG79: one change leads to one POST, also after several calls."""
    assert send_grade("ada", COURSE).outcome is Outcome.SENT
    assert send_grade("ada", COURSE).outcome is Outcome.NOT_DUE
    assert api.send_due() == 0
    assert credentials.statuses == [201]
    row, grade = row_of(ada), credentials.grade("ada", COURSE)
    assert (row.status, row.next_attempt_at, row.attempts) == ("sent", None, 1)
    assert (row.sent_version, row.sent_modified) == (row.wanted_version, row.wanted_modified)
    assert grade["lms_last_updated_at"] == row.sent_modified
    assert row.sent_at


def test_whole_percent_is_sent_unchanged(credentials):
    """SG82: the stored percent is a whole one and is sent unchanged."""
    learner = make_learner("ada")
    store_grade(learner, 0.33, "")
    send_grade("ada", COURSE)
    assert credentials.posts[0].message["percent_grade"] == 0.33
    assert credentials.posts[0].message["letter_grade"] == ""


def test_grade_that_was_not_enqueued_is_sent(credentials):
    """Code of the platform may call the task itself."""
    learner = make_learner("ada")
    grade = store_grade(learner)
    sent = send_grade("ada", COURSE, verified=False, last_updated=grade.modified)
    assert sent.outcome is Outcome.SENT
    assert credentials.posts[0].message["verified"] is False


@pytest.mark.parametrize("name", ["ada", "unknown"])
def test_unknown_learner_or_missing_grade_is_skipped(credentials, name):
    """SG83: nothing is sent without a learner or a stored grade."""
    make_learner("ada")
    assert send_grade(name, COURSE).outcome is Outcome.SKIPPED
    assert not GradeOutbox.objects.exists()


def test_rows_stay_pending_without_the_setting(credentials, ada, settings):
    """SG83: rows stay pending until the setting is there again."""
    settings.XQUEUE_BRIDGE = {}
    assert send_grade("ada", COURSE).outcome is Outcome.SKIPPED
    assert api.send_due() == 0
    assert api.send_enqueued(row_of(ada).pk).outcome is Outcome.SKIPPED
    assert row_of(ada).status == "pending"


class TestRetries:
    @pytest.mark.parametrize("fault", [Fault(500), Fault(503), DROPPED, Fault(401), Fault(408)])
    def test_transient_error_is_retried_after_30_to_45_seconds(self, credentials, ada, fault):
        """SG80: the first retry is due after 30 to 45 s, and not sooner."""
        credentials.faults = [fault] * (2 if fault.status == 401 else 1)
        before = timezone.now()
        sent = send_grade("ada", COURSE)
        assert sent.outcome is Outcome.RETRY
        assert 30 <= sent.retry_in <= 45
        row = row_of(ada)
        assert (row.status, row.attempts) == ("pending", 1)
        waits = timedelta(seconds=sent.retry_in)
        assert before + waits <= row.next_attempt_at <= timezone.now() + waits
        assert api.send_due() == 0
        make_due()
        assert api.send_due() == 1
        assert row_of(ada).status == "sent"
        assert row_of(ada).last_error == ""

    def test_row_fails_after_eleven_attempts(self, credentials, ada, caplog):
        """SG80: after the last attempt the row is failed and listed."""
        credentials.always = Fault(503)
        outcomes = []
        for _ in range(12):
            outcomes.append(send_grade("ada", COURSE).outcome)
            make_due()
        assert outcomes == [Outcome.RETRY] * 10 + [Outcome.FAILED, Outcome.NOT_DUE]
        assert credentials.statuses == [503] * 11
        row = row_of(ada)
        assert (row.status, row.attempts, row.last_error, row.next_attempt_at) == (
            "failed",
            11,
            "HTTP 503",
            None,
        )
        text = f"The grade of learner {ada} in {COURSE} was not sent, and is not tried again"
        assert f"{text}: HTTP 503" in caplog.text

    def test_grade_refused_with_400_is_not_sent_again(self, credentials, ada):
        """SG80: the row fails at once, with the error."""
        credentials.course_runs = set()
        assert send_grade("ada", COURSE).outcome is Outcome.FAILED
        assert api.send_due() == 0
        assert credentials.statuses == [400]
        row = row_of(ada)
        assert (row.status, row.last_error, row.next_attempt_at) == ("failed", "HTTP 400", None)

    def test_username_that_is_too_long_fails_the_row(self, credentials, monkeypatch):
        """SG80: Credentials refuses it by its own rule, and that is final."""
        learner = make_learner("x" * 150)
        store_grade(learner)
        monkeypatch.setattr(send, "username_of", lambda user_id: "x" * 151)
        assert send_grade("x" * 150, COURSE).outcome is Outcome.FAILED
        assert credentials.statuses == [400]

    def test_new_grade_after_a_refusal_is_sent(self, credentials, ada):
        credentials.faults = [Fault(400)]
        send_grade("ada", COURSE)
        store_grade(ada, 0.9)
        enqueue_grade(ada)
        assert send_grade("ada", COURSE).outcome is Outcome.SENT

    def test_retry_after_that_exceeds_the_interval_is_used(self, credentials, ada):
        """SG80: Retry-After is used if it is longer than our own interval."""
        credentials.faults = [Fault(429, retry_after="300")]
        assert send_grade("ada", COURSE).retry_in == 300

    @pytest.mark.parametrize(
        ("retry_after", "least", "most"), [("3", 30, 45), ("999999", 3600, 3600)]
    )
    def test_retry_after_is_limited_to_an_hour(self, credentials, ada, retry_after, least, most):
        """SG80: the interval is at least our own and at most an hour."""
        credentials.faults = [Fault(503, retry_after=retry_after)]
        assert least <= send_grade("ada", COURSE).retry_in <= most

    def test_error_of_the_token_endpoint_is_retried(self, credentials, ada):
        """SG80: a wrong client secret fails no grade."""
        credentials.token_faults = [Fault(401)]
        assert send_grade("ada", COURSE).outcome is Outcome.RETRY
        assert row_of(ada).last_error == "token: HTTP 401"
        assert credentials.posts == []

    def test_claim_of_a_killed_process_expires(self, credentials, ada):
        """SG80: the claim expires by itself, and its attempt counts."""
        row = row_of(ada)
        assert outbox.claim(row)
        assert send_grade("ada", COURSE).outcome is Outcome.NOT_DUE
        make_due()
        assert send_grade("ada", COURSE).outcome is Outcome.SENT
        assert row_of(ada).attempts == 2

    def test_grade_that_kills_its_process_fails(self, credentials, ada):
        """SG80: the row fails after eleven attempts, also if none of them ended."""
        GradeOutbox.objects.update(status="sending", attempts=11, next_attempt_at=THE_PAST)
        assert api.send_due() == 1
        row = row_of(ada)
        assert (row.status, row.last_error) == ("failed", "interrupted")
        assert credentials.posts == []


@given(st.integers(min_value=1, max_value=10_000))
def test_interval_is_30_to_600_seconds(attempts):
    """SG80: the interval is 30 to 600 s after any number of attempts."""
    assert 30 <= retry_delay(attempts) <= LONGEST_DELAY


def test_interval_doubles_with_jitter():
    """SG80: two grades are not retried at the same time."""
    for attempts, least in ((1, 30), (2, 60), (3, 120), (4, 240), (5, 400), (10, 400)):
        waits = {retry_delay(attempts) for _ in range(50)}
        assert len(waits) > 40
        assert least <= min(waits) <= max(waits) <= least * 1.5


class TestSweeper:
    def test_due_rows_are_sent_up_to_the_limit(self, credentials):
        for number in range(5):
            learner = make_learner(f"learner {number}")
            store_grade(learner)
            enqueue_grade(learner)
        assert api.send_due(limit=3) == 3
        assert api.send_due() == 2
        assert set(GradeOutbox.objects.values_list("status", flat=True)) == {"sent"}

    def test_sweep_ends_after_an_error_of_the_service(self, credentials):
        """SG80: other grades keep their attempts and stay due."""
        for number in range(3):
            learner = make_learner(f"learner {number}")
            store_grade(learner)
            enqueue_grade(learner)
        credentials.always = Fault(503)
        assert api.send_due() == 1
        assert sorted(GradeOutbox.objects.values_list("attempts", flat=True)) == [0, 0, 1]

    def test_refused_grade_does_not_stop_the_others(self, credentials, ada):
        """SG80: a refusal concerns one grade."""
        store_grade(ada, course_key=OTHER_COURSE)
        enqueue_grade(ada, OTHER_COURSE)
        credentials.faults = [Fault(400)]
        assert api.send_due() == 2
        assert credentials.statuses == [400, 201]

    def test_sweep_ends_after_its_seconds(self, credentials):
        for number in range(3):
            learner = make_learner(f"learner {number}")
            store_grade(learner)
            enqueue_grade(learner)
        credentials.always = Fault(200, seconds=0.2)
        assert api.send_due(seconds=0.1) == 1

    def test_row_without_grade_or_learner_fails(self, credentials, ada):
        """SG83: a row whose grade or learner was deleted is not retried."""
        PersistentCourseGrade.objects.all().delete()
        assert api.send_due() == 1
        assert (row_of(ada).status, row_of(ada).last_error) == ("failed", "no grade")
        store_grade(4711)
        assert enqueue_grade(4711)
        assert api.send_due() == 1
        assert (row_of(4711).status, row_of(4711).last_error) == ("failed", "no learner")
        assert credentials.posts == []


class TestOutbox:
    def test_row_of_one_learner_and_course_does_not_change_others(self, credentials, ada):
        """SG79, SG80: only that grade is enqueued, claimed or failed."""
        store_grade(ada, 0.6, course_key=OTHER_COURSE)
        enqueue_grade(ada, OTHER_COURSE)
        bob = make_learner("bob")
        store_grade(bob, 0.7)
        enqueue_grade(bob)
        credentials.faults = [Fault(400)]
        assert send_grade("ada", OTHER_COURSE).outcome is Outcome.FAILED
        assert api.send_enqueued(row_of(bob).pk).outcome is Outcome.SENT
        assert [post.message["percent_grade"] for post in credentials.posts] == [0.6, 0.7]
        assert (row_of(ada).status, row_of(ada).attempts) == ("pending", 0)
        assert row_of(ada, OTHER_COURSE).status == "failed"

    @pytest.mark.parametrize("status", ["sent", "failed", "pending"])
    def test_grade_that_is_enqueued_again_changes_no_row(self, credentials, ada, status):
        """SG79: a row of any status is not changed by the same grade."""
        GradeOutbox.objects.update(status=status, attempts=3, next_attempt_at=THE_PAST)
        before = GradeOutbox.objects.values().get()
        assert outbox.enqueue(stored(ada).stored_version, row_of(ada)) == row_of(ada).pk
        assert GradeOutbox.objects.values().get() == before

    def test_grade_that_cannot_be_sent_is_a_failed_row(self, credentials, ada):
        """SG80: the row has the first 255 characters of the error, for operators."""
        new = make_learner("bob")
        for learner in (ada, new):
            store_grade(learner, 0.9)
            version = stored(learner).stored_version
            outbox.enqueue(version, outbox.find(learner, COURSE), error="x" * 300)
            row = row_of(learner)
            assert (row.status, row.next_attempt_at) == ("failed", None)
            assert row.last_error == "x" * 255
        assert api.send_due() == 0

    def test_longest_overdue_row_is_first(self, credentials, ada):
        bob, eve = make_learner("bob"), make_learner("eve")
        for learner, minutes in ((bob, -1), (eve, 1)):
            store_grade(learner)
            enqueue_grade(learner)
            at = timezone.now() + timedelta(minutes=minutes)
            GradeOutbox.objects.filter(user_id=learner).update(next_attempt_at=at)
        assert [row.user_id for row in GradeOutbox.objects.due(9)] == [bob, ada]
        assert [row.user_id for row in GradeOutbox.objects.due(1)] == [bob]

    @pytest.mark.parametrize(("early", "is_taken"), [(0.5, True), (2, False)])
    def test_row_is_claimed_half_a_second_early_and_not_two(
        self, credentials, ada, early, is_taken
    ):
        due_at = timezone.now()
        GradeOutbox.objects.update(next_attempt_at=due_at)
        with time_machine.travel(due_at - timedelta(seconds=early), tick=False):
            assert outbox.claim(row_of(ada)) is is_taken


def test_no_transaction_is_open_during_a_request(credentials, ada, monkeypatch):
    seen = []
    request = requests.Session.request

    def look(*args, **kwargs):
        seen.append(connection.in_atomic_block)
        return request(*args, **kwargs)

    monkeypatch.setattr(requests.Session, "request", look)
    send_grade("ada", COURSE)
    assert seen == [False, False]


def test_send_takes_five_or_seven_statements(credentials, ada, django_assert_num_queries):
    """Row, claim, grade, username, end; the platform's task has two more to find the row."""
    row_id = row_of(ada).pk
    with django_assert_num_queries(5):
        assert api.send_enqueued(row_id).outcome is Outcome.SENT
    store_grade(ada, 0.9)
    assert enqueue_grade(ada) == row_id
    with django_assert_num_queries(7):
        assert send_grade("ada", COURSE).outcome is Outcome.SENT
    store_grade(ada, 0.8)
    enqueue_grade(ada)
    with django_assert_num_queries(5):
        api.send_due()


def test_percent_that_is_not_finite_is_not_sent_until_it_is_computed_again(credentials):
    """Kind 5: Credentials gets no number that is none; the outbox names the reason."""
    learner = make_learner("ada")
    grade = store_grade(learner)
    numbers = {"postgresql": [math.nan, math.inf], "sqlite": [math.inf, -math.inf]}
    for number in numbers.get(connection.vendor, []):
        PersistentCourseGrade.objects.filter(pk=grade.pk).update(percent_grade=number)
        assert send_grade("ada", COURSE).outcome is Outcome.FAILED
        assert row_of(learner).last_error == "percent is not a finite number"
        grade = store_grade(learner)
    assert credentials.posts == []
    assert send_grade("ada", COURSE).outcome is Outcome.SENT
    assert [each.message["percent_grade"] for each in credentials.posts] == [0.8]
