"""Hosts whose clocks are wrong by ten minutes: processes compare times of the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.course_grades import factories as grades
from tests.credentials.factories import enqueue as enqueue_grade
from tests.credentials.factories import row_of, store_grade
from tests.doubles.credentials import Credentials, running
from tests.grader_replies.factories import make_learner
from tests.integration.clocks import TEN_MINUTES, host_clock_off
from tests.regrading.factories import graded, start
from tests.submission_queue.factories import (
    GOOD_REPLY,
    PROBLEM,
    GraderClient,
    make_grader,
    new_submission,
)
from xqueue_bridge import health
from xqueue_bridge.alerts import conditions, notify
from xqueue_bridge.alerts.models import Alert
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.course_grades.models import GradeRecalculation
from xqueue_bridge.credentials import enqueue, outbox
from xqueue_bridge.db import clock
from xqueue_bridge.grader_replies.locks import block_lock
from xqueue_bridge.metrics import sampling
from xqueue_bridge.metrics.models import QueueSample
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.submission_queue import accounts, queue
from xqueue_bridge.submission_queue.grader_models import Grader, GraderPause
from xqueue_bridge.submission_queue.queue import enqueue as send
from xqueue_bridge.submission_queue.stats import queue_stats
from xqueue_bridge.worker import heartbeat
from xqueue_bridge.worker.models import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)

#: How far the other host's clock is off.
OFFSETS = pytest.mark.parametrize("offset", [TEN_MINUTES, -TEN_MINUTES], ids=["ahead", "behind"])


@pytest.fixture(autouse=True)
def _new_process(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(sampling, "_done", None)
    monkeypatch.setattr(conditions, "_done", None)
    heartbeat._recorded.clear()
    yield
    heartbeat._recorded.clear()


@pytest.fixture
def credentials(settings) -> Iterator[Credentials]:
    with running() as service:
        settings.XQUEUE_BRIDGE = {
            "TASK_RUNNER": "celery",
            "RECALCULATE_GRADE_DELAY_SECONDS": 0.0,
            "CREDENTIALS": service.settings,
        }
        yield service


@OFFSETS
def test_database_now_is_the_same_on_each_host(offset, django_assert_max_num_queries) -> None:
    """One statement a minute; none on SQLite."""
    here = clock.database_now()
    with host_clock_off(offset), django_assert_max_num_queries(1):
        times = [clock.database_now() for _ in range(3)]
        assert abs(timezone.now() - times[0]) > TEN_MINUTES / 2
    assert all(timedelta(0) <= each - here < timedelta(seconds=30) for each in times)
    assert times == sorted(times)


def test_clock_that_is_set_is_compared_again(monkeypatch) -> None:
    """A clock that was set while the process runs counts for a minute at most."""
    monkeypatch.setattr(clock, "_compared", (clock.time.monotonic() - 61, timedelta(hours=1)))
    assert abs(clock.database_now() - timezone.now()) < timedelta(seconds=30)


@OFFSETS
def test_block_lock_and_claims_belong_to_one_host(offset, settings) -> None:
    """SG81: no other host takes what one is working on, and none finds it locked later."""
    settings.XQUEUE_BRIDGE = {"CREDENTIALS": None}
    with block_lock(7, PROBLEM) as is_ours:
        with host_clock_off(offset), block_lock(7, PROBLEM) as is_theirs:
            assert (is_ours, is_theirs) == (True, False)
    with host_clock_off(offset), block_lock(7, PROBLEM) as is_theirs:
        assert is_theirs
    alert = Alert(kind="stalled", queue_name="python", is_open=True, changed_at=timezone.now())
    alert.next_attempt_at = clock.database_now()
    alert.save()
    alert.attempts += 1
    assert Alert.objects.claim(alert, clock.database_now() + notify.CLAIM)
    with host_clock_off(offset):
        assert not Alert.objects.due().exists()


@OFFSETS
def test_grade_is_sent_by_one_host_at_a_time(offset, credentials) -> None:
    """SG81: a host whose clock is ahead does not send while another one does."""
    ada = enqueued_grade()
    assert outbox.claim(row_of(ada))
    with host_clock_off(offset):
        assert not outbox.claim(row_of(ada))


@OFFSETS
def test_grade_that_another_host_requested_is_due_for_the_sweeper(offset, settings) -> None:
    """The sweeper computes it as soon as if the score's host had the right clock."""
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery", "RECALCULATE_GRADE_DELAY_SECONDS": 0.0}
    grades.publish()
    ada = grades.make_learner()
    with host_clock_off(offset):
        grades.score(ada)
    assert course_grades.recalculate_due() == 1
    assert grades.percent(ada) == 0.5
    assert not GradeRecalculation.objects.exclude(next_attempt_at=None).exists()


@OFFSETS
def test_sweeper_is_seen_by_other_hosts(offset) -> None:
    """Neither is one that runs called silent, nor one that does not run alive."""
    with host_clock_off(offset):
        heartbeat.record(heartbeat.SWEEPER)
    assert health._sweeper() == health.OK
    Heartbeat.objects.update(seen_at=clock.database_now() - health.SWEEPER_SILENT * 1.1)
    with host_clock_off(offset):
        assert health._sweeper() != health.OK


@OFFSETS
def test_two_sweepers_release_a_regrade_at_one_pace(offset) -> None:
    """Neither host uses the pace twice, and none stops the other for ten minutes."""
    for n in range(6):
        graded(f"learner {n}")
    regrade = start(per_minute=6)
    with host_clock_off(offset):
        assert regrading.release_due() == 1
    assert regrading.release_due() == 0
    regrade.released_until = clock.database_now() - timedelta(seconds=10)
    regrade.save()
    with host_clock_off(offset):
        assert regrading.release_due() == 2
    assert regrading.release_due() == 0


@OFFSETS
def test_two_sweepers_take_one_sample_of_a_minute(offset, settings, monkeypatch) -> None:
    """An alert is not opened by one host, and closed by the other one."""
    settings.XQUEUE_BRIDGE = {"ALERTS": {"EMAILS": ["operators@example.com"]}}
    send(new_submission())
    taken = sampling.take_samples()
    conditions.update_alerts()
    monkeypatch.setattr(sampling, "_done", None)
    monkeypatch.setattr(conditions, "_done", None)
    with host_clock_off(offset):
        again = sampling.take_samples()
        changed = conditions.update_alerts()
    minutes = set(QueueSample.objects.values_list("minute", flat=True))
    # Another one if the test has passed the end of a minute.
    assert (taken, again, len(minutes)) in ((1, 0, 1), (1, 1, 2))
    assert max(minutes) - min(minutes) <= timedelta(minutes=1)
    assert changed == 0
    assert [each.is_open for each in Alert.objects.all()] == [True]


@OFFSETS
def test_secret_that_expires_now_is_refused_by_each_host(offset) -> None:
    """The host that rotates a secret has another clock than those that check it."""
    secret = accounts.create_grader("watcher", ["python"])
    assert accounts.authenticate("watcher", secret)
    with host_clock_off(offset):
        new = accounts.issue_secret(Grader.objects.get())
    assert accounts.authenticate("watcher", secret) is None
    with host_clock_off(-offset):
        assert accounts.authenticate("watcher", secret) is None
        assert accounts.authenticate("watcher", new)


@OFFSETS
def test_success_before_the_invalid_replies_does_not_close_the_breaker(offset, settings) -> None:
    """C92: of replies that two hosts have stored, the order of the database's time counts."""
    settings.XQUEUE_BRIDGE = {"PAUSE_AFTER_INVALID_REPLIES": 3}
    grader = make_grader()
    with host_clock_off(offset):
        put(grader, GOOD_REPLY)
    for _ in range(3):
        put(grader, "{}")
    assert GraderPause.objects.exclude(paused_until=None).exists()
    GraderPause.objects.update(paused_until=None)
    with host_clock_off(-offset):
        put(grader, GOOD_REPLY)
    put(grader, "{}")
    assert GraderPause.objects.get().invalid_replies == 1


@OFFSETS
def test_ages_on_pages_are_by_the_database(offset) -> None:
    """What operators read of queues and graders does not depend on the host that shows it."""
    send(new_submission())
    with host_clock_off(offset):
        make_grader().pull("other")
        [stats] = queue_stats()
    assert stats.oldest_seconds is not None
    assert stats.oldest_seconds < 30
    assert stats.grader_seen_seconds is not None
    assert stats.grader_seen_seconds < 30


@OFFSETS
def test_grade_whose_process_was_killed_is_found_on_each_host(offset, credentials) -> None:
    """SG80: the grade is stored, and was not enqueued; the cursor has passed other grades."""
    grades.publish()
    ada, bob = grades.make_learner("ada"), grades.make_learner("bob")
    enqueue._cursor()
    with host_clock_off(offset):
        grades.score(ada)
    grades.score(bob)
    assert course_grades.recalculate_due() == 2
    outbox.GradeOutbox.objects.all().delete()
    before, grace = clock.database_now(), enqueue.COMMIT_GRACE
    assert enqueue.enqueue_missed() == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enqueue, "database_now", lambda: before + grace + timedelta(seconds=30))
        assert enqueue.enqueue_missed() == 2


def put(grader: GraderClient, body: str) -> None:
    queue.enqueue(new_submission())
    pulled = grader.pull()
    assert pulled
    grader.put(pulled.header, body)


def enqueued_grade() -> int:
    learner = make_learner("ada")
    store_grade(learner, 0.8)
    enqueue_grade(learner)
    return learner
