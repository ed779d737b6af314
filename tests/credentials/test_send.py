"""A grade is sent once, in its latest form, as long as it takes, and not longer."""

from __future__ import annotations

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


def test_a_grade_is_sent_once(credentials, ada):
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


def test_whole_percents(credentials):
    """SG82: the stored percent is a whole one, and goes out as it is."""
    learner = make_learner("ada")
    store_grade(learner, 0.33, "")
    send_grade("ada", COURSE)
    assert credentials.posts[0].message["percent_grade"] == 0.33
    assert credentials.posts[0].message["letter_grade"] == ""


def test_a_call_without_an_entry(credentials):
    """Code of the platform's may send the task itself."""
    learner = make_learner("ada")
    grade = store_grade(learner)
    sent = send_grade("ada", COURSE, verified=False, last_updated=grade.modified)
    assert sent.outcome is Outcome.SENT
    assert credentials.posts[0].message["verified"] is False


@pytest.mark.parametrize("name", ["ada", "unknown"])
def test_nothing_to_send(credentials, name):
    """SG83: no learner, or no grade."""
    make_learner("ada")
    assert send_grade(name, COURSE).outcome is Outcome.SKIPPED
    assert not GradeOutbox.objects.exists()


def test_switched_off_meanwhile(credentials, ada, settings):
    """SG83: entries wait until there is a service again."""
    settings.XQUEUE_BRIDGE = {}
    assert send_grade("ada", COURSE).outcome is Outcome.SKIPPED
    assert api.send_due() == 0
    assert row_of(ada).status == "pending"


class TestRetries:
    @pytest.mark.parametrize("fault", [Fault(500), Fault(503), DROPPED, Fault(401), Fault(408)])
    def test_what_may_pass_is_tried_again(self, credentials, ada, fault):
        """SG80: after 30 to 45 s the first time; not before."""
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

    def test_eleven_attempts(self, credentials, ada, caplog):
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
        assert "failed: HTTP 503" in caplog.text

    def test_a_refused_grade_is_not_sent_again(self, credentials, ada):
        """SG80: a 400 ends it at once, visibly."""
        credentials.course_runs = set()
        assert send_grade("ada", COURSE).outcome is Outcome.FAILED
        assert api.send_due() == 0
        assert credentials.statuses == [400]
        row = row_of(ada)
        assert (row.status, row.last_error, row.next_attempt_at) == ("failed", "HTTP 400", None)

    def test_a_name_that_is_too_long(self, credentials, monkeypatch):
        """SG80: the receiver's own rule refuses it, and that is final."""
        learner = make_learner("x" * 150)
        store_grade(learner)
        monkeypatch.setattr(send, "username_of", lambda user_id: "x" * 151)
        assert send_grade("x" * 150, COURSE).outcome is Outcome.FAILED
        assert credentials.statuses == [400]

    def test_a_new_grade_after_a_refusal(self, credentials, ada):
        credentials.faults = [Fault(400)]
        send_grade("ada", COURSE)
        store_grade(ada, 0.9)
        enqueue_grade(ada)
        assert send_grade("ada", COURSE).outcome is Outcome.SENT

    def test_the_service_may_ask_for_more_time(self, credentials, ada):
        """SG80: Retry-After is kept, where it is longer than our own wait."""
        credentials.faults = [Fault(429, retry_after="300")]
        assert send_grade("ada", COURSE).retry_in == 300

    @pytest.mark.parametrize(("asked", "least", "most"), [("3", 30, 45), ("999999", 3600, 3600)])
    def test_within_bounds(self, credentials, ada, asked, least, most):
        """SG80: neither sooner than our own wait, nor ever so late."""
        credentials.faults = [Fault(503, retry_after=asked)]
        assert least <= send_grade("ada", COURSE).retry_in <= most

    def test_a_token_endpoint_in_trouble(self, credentials, ada):
        """SG80: a wrong secret refuses no grade for good."""
        credentials.token_faults = [Fault(401)]
        assert send_grade("ada", COURSE).outcome is Outcome.RETRY
        assert row_of(ada).last_error == "token: HTTP 401"
        assert credentials.posts == []

    def test_a_process_that_died(self, credentials, ada):
        """SG80: its claim ends by itself, and its attempt counts."""
        row = row_of(ada)
        assert outbox.claim(row)
        assert send_grade("ada", COURSE).outcome is Outcome.NOT_DUE
        make_due()
        assert send_grade("ada", COURSE).outcome is Outcome.SENT
        assert row_of(ada).attempts == 2

    def test_grade_that_kills_its_process_fails(self, credentials, ada):
        """SG80: eleven attempts in all, also where none of them ever came back."""
        GradeOutbox.objects.update(status="sending", attempts=11, next_attempt_at=THE_PAST)
        assert api.send_due() == 1
        row = row_of(ada)
        assert (row.status, row.last_error) == ("failed", "interrupted")
        assert credentials.posts == []


@given(st.integers(min_value=1, max_value=10_000))
def test_backoff_is_within_its_bounds(attempts):
    """SG80: 30 to 600 seconds."""
    assert 30 <= retry_delay(attempts) <= LONGEST_DELAY


def test_backoff_doubles_with_jitter():
    """SG80: two grades do not come back together."""
    for attempts, least in ((1, 30), (2, 60), (3, 120), (4, 240), (5, 400), (10, 400)):
        waits = {retry_delay(attempts) for _ in range(50)}
        assert len(waits) > 40
        assert least <= min(waits) <= max(waits) <= least * 1.5


class TestTheSweeper:
    def test_it_sends_what_is_due(self, credentials):
        for number in range(5):
            learner = make_learner(f"learner {number}")
            store_grade(learner)
            enqueue_grade(learner)
        assert api.send_due(limit=3) == 3
        assert api.send_due() == 2
        assert set(GradeOutbox.objects.values_list("status", flat=True)) == {"sent"}

    def test_a_service_in_trouble_is_left_alone(self, credentials):
        """SG80: other grades keep their attempts and do not wait for it."""
        for number in range(3):
            learner = make_learner(f"learner {number}")
            store_grade(learner)
            enqueue_grade(learner)
        credentials.always = Fault(503)
        assert api.send_due() == 1
        assert sorted(GradeOutbox.objects.values_list("attempts", flat=True)) == [0, 0, 1]

    def test_one_refused_grade_stops_no_other(self, credentials, ada):
        """SG80: a refusal is about one grade."""
        store_grade(ada, course_key=OTHER_COURSE)
        enqueue_grade(ada, OTHER_COURSE)
        credentials.faults = [Fault(400)]
        assert api.send_due() == 2
        assert credentials.statuses == [400, 201]

    def test_its_time_is_bounded(self, credentials):
        for number in range(3):
            learner = make_learner(f"learner {number}")
            store_grade(learner)
            enqueue_grade(learner)
        credentials.always = Fault(200, seconds=0.2)
        assert api.send_due(seconds=0.1) == 1

    def test_a_grade_or_learner_that_is_gone(self, credentials, ada):
        """SG83: what is gone cannot be sent, and is not asked for again."""
        PersistentCourseGrade.objects.all().delete()
        assert api.send_due() == 1
        assert (row_of(ada).status, row_of(ada).last_error) == ("failed", "no grade")
        store_grade(4711)
        assert enqueue_grade(4711)
        assert api.send_due() == 1
        assert (row_of(4711).status, row_of(4711).last_error) == ("failed", "no learner")
        assert credentials.posts == []


class TestTheOutbox:
    def test_a_row_is_one_learners_in_one_course(self, credentials, ada):
        """SG79, SG80: only that grade is enqueued, claimed or failed."""
        store_grade(ada, 0.6, course_key=OTHER_COURSE)
        enqueue_grade(ada, OTHER_COURSE)
        bob = make_learner("bob")
        store_grade(bob, 0.7)
        enqueue_grade(bob)
        credentials.faults = [Fault(400)]
        assert send_grade("ada", OTHER_COURSE).outcome is Outcome.FAILED
        assert send_grade("bob", COURSE).outcome is Outcome.SENT
        assert [post.message["percent_grade"] for post in credentials.posts] == [0.6, 0.7]
        assert (row_of(ada).status, row_of(ada).attempts) == ("pending", 0)
        assert row_of(ada, OTHER_COURSE).status == "failed"

    @pytest.mark.parametrize("status", ["sent", "failed", "pending"])
    def test_a_grade_that_is_entered_again(self, credentials, ada, status):
        """SG79: a row of any status is not changed."""
        GradeOutbox.objects.update(status=status, attempts=3, next_attempt_at=THE_PAST)
        before = GradeOutbox.objects.values().get()
        assert outbox.enqueue(stored(ada), row_of(ada)) == row_of(ada).pk
        assert GradeOutbox.objects.values().get() == before

    def test_a_grade_that_cannot_be_sent(self, credentials, ada):
        """SG80: it is entered for operators; what fits of the problem says why."""
        new = make_learner("bob")
        for learner in (ada, new):
            store_grade(learner, 0.9)
            outbox.enqueue(stored(learner), outbox.find((learner, COURSE)), error="x" * 300)
            row = row_of(learner)
            assert (row.status, row.next_attempt_at) == ("failed", None)
            assert row.last_error == "x" * 255
        assert api.send_due() == 0

    def test_the_longest_overdue_comes_first(self, credentials, ada):
        bob, eve = make_learner("bob"), make_learner("eve")
        for learner, minutes in ((bob, -1), (eve, 1)):
            store_grade(learner)
            enqueue_grade(learner)
            at = timezone.now() + timedelta(minutes=minutes)
            GradeOutbox.objects.filter(user_id=learner).update(next_attempt_at=at)
        assert [row.user_id for row in GradeOutbox.objects.due(9)] == [bob, ada]
        assert [row.user_id for row in GradeOutbox.objects.due(1)] == [bob]

    @pytest.mark.parametrize(("early", "is_taken"), [(0.5, True), (2, False)])
    def test_clocks_that_differ(self, credentials, ada, early, is_taken):
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


def test_statements(credentials, ada, django_assert_num_queries):
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
