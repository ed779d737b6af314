"""The tasks that send grades, and the signal that enqueues them."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from tests.course_grades import courses
from tests.credentials.factories import COURSE, make_due, make_learner, row_of, store_grade, stored
from tests.credentials.factories import enqueue as enqueue_grade
from tests.doubles.credentials import Fault
from xqueue_bridge import signals, tasks
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.course_grades.persistence import course_grade_of
from xqueue_bridge.credentials import api, send
from xqueue_bridge.credentials.models import GradeOutbox
from xqueue_bridge.tasks import send_grade_to_credentials

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ada(credentials) -> int:
    learner = make_learner("ada")
    store_grade(learner, 0.8)
    return learner


@pytest.fixture
def queued(monkeypatch) -> list[int]:
    """The ids of the outbox rows whose task was sent to the broker."""
    found: list[int] = []

    def apply_async(args, *, retry):
        assert retry is False
        found.extend(json.loads(json.dumps(args)))

    monkeypatch.setattr(tasks.send_grade, "apply_async", apply_async)
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1")
    return found


def arguments(learner: int) -> dict:
    """Return the platform's arguments for the learner's stored grade, which is enqueued."""
    assert enqueue_grade(learner)
    grade = stored(learner)
    return {
        "username": "ada",
        "course_run_key": str(COURSE),
        "verified": True,
        "letter_grade": grade.letter_grade,
        "percent_grade": grade.percent_grade,
        "grade_last_updated": grade.modified.isoformat(),
    }


def send_updated(learner: int) -> None:
    """Send what a recalculation sends after its commit."""
    grade = course_grade_of(stored(learner))
    update = course_grades.GradeUpdate(
        course=courses.course(),
        course_grade=replace(grade, course_key=COURSE),
        changed_subsections=(),
        changed=True,
        previous_passed=None,
        is_first_pass=False,
    )
    signals.grade_updated.send_robust(sender=None, update=update, user=None)


def test_task_has_the_parameters_and_retries_of_the_platform():
    assert list(inspect.signature(send_grade_to_credentials.run).parameters) == [
        "username",
        "course_run_key",
        "verified",
        "letter_grade",
        "percent_grade",
        "grade_last_updated",
    ]
    assert send_grade_to_credentials.max_retries == 10


def test_repeated_task_of_a_row_posts_once(credentials, ada):
    """SG79: one change, one task, one POST; a task for a row that is deleted sends nothing."""
    row_id = enqueue_grade(ada)
    tasks.send_grade.apply(args=[row_id]).get()
    tasks.send_grade.apply(args=[row_id]).get()
    assert credentials.statuses == [201]
    GradeOutbox.objects.all().delete()
    tasks.send_grade.apply(args=[row_id]).get()
    assert credentials.statuses == [201]


def test_platform_task_posts_once(credentials, ada):
    """SG79: one change, one task, one POST with the grade's own time."""
    send_grade_to_credentials.apply(kwargs=arguments(ada)).get()
    send_grade_to_credentials.apply(
        args=["ada", str(COURSE), True, "Pass", 0.8, row_of(ada).sent_modified.isoformat()]
    ).get()
    assert [post.message["lms_last_updated_at"] for post in credentials.posts] == [
        row_of(ada).sent_modified.isoformat()
    ]


def test_task_is_retried_up_to_eleven_attempts(credentials, ada, monkeypatch):
    """SG80: Celery's retries and the outbox count the same attempts."""
    monkeypatch.setattr(send, "retry_delay", lambda attempts: 0.0)
    credentials.always = Fault(503)
    send_grade_to_credentials.apply(kwargs=arguments(ada))
    assert credentials.statuses == [503] * 11
    assert row_of(ada).status == "failed"


def test_refused_grade_does_not_fail_the_task(credentials, ada):
    """SG80: the task is not retried; the outbox has the error."""
    credentials.faults = [Fault(400)]
    send_grade_to_credentials.apply(kwargs=arguments(ada)).get()
    assert credentials.statuses == [400]


def test_retry_sends_nothing_if_a_sweeper_has_sent_the_grade(credentials, ada, monkeypatch):
    """SG80, SG81: the second process does nothing."""
    credentials.faults = [Fault(503)]
    kwargs = arguments(ada)
    seen = []
    monkeypatch.setattr(
        send_grade_to_credentials,
        "retry",
        lambda countdown: seen.append(countdown) or RuntimeError("retried"),
    )
    with pytest.raises(RuntimeError, match="retried"):
        send_grade_to_credentials.run(**kwargs)
    assert 30 <= seen[0] <= 45
    make_due()
    assert api.send_due() == 1
    send_grade_to_credentials.run(**kwargs)
    assert credentials.statuses == [503, 201]


def test_interval_of_an_hour_is_left_to_the_sweeper(credentials, ada, monkeypatch):
    """SG80: no worker holds a task for longer than its broker waits.

    RabbitMQ ends the channel after half an hour, and with it the worker's other tasks.
    """
    retried = []
    monkeypatch.setattr(send_grade_to_credentials, "retry", lambda **kwargs: retried.append(kwargs))
    credentials.faults = [Fault(429, retry_after="3600")]
    send_grade_to_credentials.run(**arguments(ada))
    assert retried == []
    assert row_of(ada).status == "pending"
    make_due()
    assert api.send_due() == 1
    assert credentials.statuses == [429, 201]


@pytest.mark.parametrize("date", ["2019-12-31T23:59:59", datetime(2019, 12, 31, tzinfo=UTC)])
def test_task_with_an_older_date_sends_nothing(credentials, ada, date):
    """SG81: the date may be a text or a datetime."""
    send_grade_to_credentials.run("ada", str(COURSE), True, "Pass", 0.1, date)
    assert credentials.posts == []


def test_task_without_a_date_sends_the_stored_grade(credentials, ada):
    """SG79: callers of the platform's task may leave the date out."""
    send_grade_to_credentials.run("ada", str(COURSE), True, None, None)
    assert credentials.posts[0].message["percent_grade"] == 0.8


class TestGradeUpdated:
    def test_changed_grade_enqueues_one_task(self, credentials, ada, queued):
        """SG79: one change enqueues one task; an unchanged grade enqueues none."""
        send_updated(ada)
        send_updated(ada)
        assert queued == [row_of(ada).pk]
        tasks.send_grade.run(*queued)
        assert credentials.statuses == [201]

    def test_rolled_back_change_enqueues_no_task(self, credentials, ada, queued):
        """SG84: no task, no row, and nothing is sent."""
        with transaction.atomic():
            store_grade(ada, 0.9)
            send_updated(ada)
            assert queued == []
            transaction.set_rollback(True)
        assert queued == []
        assert not GradeOutbox.objects.exists()
        assert credentials.posts == []

    def test_sweeper_sends_without_a_broker(self, credentials, ada, monkeypatch):
        """SG79: the sweeper sends the same grade by the same function."""
        monkeypatch.setattr(current_app.conf, "broker_url", None)
        send_updated(ada)
        assert credentials.posts == []
        assert tasks.sweep()["grades sent"] == 1
        assert credentials.statuses == [201]

    def test_sweeper_sends_if_the_broker_is_down(
        self, credentials, ada, settings, monkeypatch, caplog
    ):
        """SG44: the row is stored, and the sweeper finds it."""

        def down(*args, **kwargs):
            raise OperationalError("broker is down")

        monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1")
        monkeypatch.setattr(tasks.send_grade, "apply_async", down)
        send_updated(ada)
        assert "left to the sweeper" in caplog.text
        assert tasks.sweep()["grades sent"] == 1
        assert credentials.statuses == [201]

    def test_no_task_is_enqueued_without_the_setting(self, settings, queued):
        """SG83: a change of a grade enqueues no task."""
        settings.XQUEUE_BRIDGE = {}
        learner = make_learner("ada")
        store_grade(learner)
        send_updated(learner)
        assert queued == []
