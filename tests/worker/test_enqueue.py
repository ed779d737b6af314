"""Work is started by a Celery worker or in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from celery import current_app
from kombu.exceptions import OperationalError

from tests.submission_queue.factories import COURSE
from xqueue_bridge import tasks
from xqueue_bridge.worker import enqueue
from xqueue_bridge.worker.enqueue import defer_jobs


@pytest.fixture
def applied(monkeypatch) -> list[int]:
    reply_ids: list[int] = []
    kind = enqueue.Kind(tasks.apply_replies, run=reply_ids.extend)
    monkeypatch.setitem(enqueue._kinds, "apply_reply", kind)
    return reply_ids


def test_reply_is_applied_in_this_process_without_a_broker(applied):
    enqueue.start("apply_reply", [7])
    assert applied == [7]


def test_work_enqueued_in_a_request_starts_after_the_response(applied):
    """C90: the grader does not wait for it."""
    with defer_jobs() as jobs:
        enqueue.enqueue("apply_reply", 7)
    assert applied == []
    enqueue.run_together(jobs)
    assert applied == [7]


def test_work_of_one_kind_is_done_together_and_that_of_an_item_once(applied, monkeypatch):
    """SG64: what is enqueued meanwhile is done afterwards, in the same run."""
    calls = []

    def recalculate(learners):
        calls.append(list(learners))

    def apply(reply_ids):
        calls.append(list(reply_ids))
        for learner in (1, 2, 1):
            enqueue.enqueue("recalculate_grade", (learner, str(COURSE)))

    for name, run in (("apply_reply", apply), ("recalculate_grade", recalculate)):
        monkeypatch.setitem(enqueue._kinds, name, enqueue.Kind(tasks.apply_replies, run=run))
    with defer_jobs() as jobs:
        for reply_id in (7, 8, 7):
            enqueue.enqueue("apply_reply", reply_id)
    enqueue.run_together([partial(calls.append, "another job"), *jobs])
    assert calls == ["another job", [7, 8], [(1, str(COURSE)), (2, str(COURSE))]]


def test_one_task_gets_fifty_items(monkeypatch, settings):
    """C90: tasks are few in a spike, and each is bounded."""
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
    sent = []
    monkeypatch.setattr(tasks.apply_replies, "apply_async", lambda args, **kw: sent.append(args))
    enqueue.start("apply_reply", list(range(120)))
    assert [len(items) for (items,) in sent] == [50, 50, 20]


def test_task_that_takes_one_item_is_sent_for_each(monkeypatch, settings):
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
    sent = []
    monkeypatch.setattr(tasks.send_grade, "apply_async", lambda args, **kw: sent.append(args))
    enqueue.start("send_grade", [7, 8])
    assert sent == [(7,), (8,)]


def test_work_without_a_function_is_left_to_the_sweeper_without_a_broker():
    enqueue.start("send_grade", [4711])


def test_reply_is_enqueued_for_a_worker_with_a_broker(applied, monkeypatch):
    sent = []
    monkeypatch.setattr(tasks.apply_replies, "apply_async", lambda *a, **k: sent.append((a, k)))
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1")
    enqueue.start("apply_reply", [7])
    assert sent == [((([7],),), {"retry": False})]
    assert applied == []


class TestBrokerThatIsDown:
    """Enqueueing while publishing to the broker fails."""

    @pytest.fixture
    def broker(self, settings, monkeypatch) -> Broker:
        settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
        broker = Broker()
        for task in (tasks.apply_replies, tasks.recalculate_grades):
            monkeypatch.setattr(task, "apply_async", broker.take)
        return broker

    def end_the_pause(self, monkeypatch) -> None:
        assert enqueue.broker._retry_at > time.monotonic()
        monkeypatch.setattr(enqueue.broker, "_retry_at", time.monotonic())

    @pytest.mark.parametrize(
        ("cause", "name"),
        [(ConnectionRefusedError(), "ConnectionRefusedError"), (None, "OperationalError")],
    )
    def test_work_is_left_to_the_sweeper(self, broker, applied, caplog, cause, name):
        """C91: if publishing fails, the work stays for the sweeper, and one line is logged."""
        broker.cause = cause
        enqueue.start("apply_reply", [7])
        assert applied == []
        assert "broker is down" not in caplog.text
        assert f"({name}): work is left to the sweeper" in caplog.text

    def test_one_publish_is_tried_after_each_pause(self, broker, monkeypatch, caplog):
        """C91: tasks of all kinds share the pause; one line is logged for the whole outage."""
        for _ in range(3):
            for number in range(3):
                enqueue.start("apply_reply", [number])
                enqueue.start("recalculate_grade", [(number, str(COURSE))])
            self.end_the_pause(monkeypatch)
        assert broker.attempts == 3
        assert caplog.text.count("left to the sweeper") == 1

    def test_second_outage_is_logged_again(self, broker, monkeypatch, caplog):
        enqueue.start("apply_reply", [1])
        self.end_the_pause(monkeypatch)
        broker.accepts = True
        for number in (2, 3):
            enqueue.start("apply_reply", [number])
        broker.accepts = False
        enqueue.start("apply_reply", [4])
        assert broker.attempts == 4
        assert caplog.text.count("left to the sweeper") == 2

    def test_one_thread_tries_again_after_the_pause(self, broker, monkeypatch, caplog):
        """Other threads do not wait for the thread that tries."""
        enqueue.start("apply_reply", [0])
        self.end_the_pause(monkeypatch)
        trying, others_are_done = threading.Event(), threading.Event()
        broker.before = lambda: (trying.set(), others_are_done.wait(20))
        one = threading.Thread(target=enqueue.start, args=("apply_reply", [1]))
        one.start()
        assert trying.wait(20)
        for number in range(8):
            enqueue.start("apply_reply", [number])
        others_are_done.set()
        one.join()
        assert broker.attempts == 2
        assert caplog.text.count("left to the sweeper") == 1

    def test_outage_seen_by_several_threads_is_logged_once(self, broker, caplog):
        """Eight threads try at once and fail; one line is logged."""
        together = threading.Barrier(8)
        broker.before = lambda: together.wait(20)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(partial(enqueue.start, "apply_reply"), [[n] for n in range(8)]))
        assert broker.attempts == 8
        assert caplog.text.count("left to the sweeper") == 1


def test_error_of_an_eager_task_is_raised(settings, monkeypatch):
    """With task_always_eager, a task's own error does not count as a broker that is down."""

    def fail(*args, **kwargs):
        raise ZeroDivisionError

    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
    monkeypatch.setattr(tasks.apply_replies, "apply_async", fail)
    monkeypatch.setitem(current_app.conf.changes, "task_always_eager", True)
    with pytest.raises(ZeroDivisionError):
        enqueue.start("apply_reply", [7])
    assert enqueue.broker._retry_at == 0


class Broker:
    """Test double of ``apply_async``; ``accepts`` says whether publishing succeeds."""

    def __init__(self) -> None:
        self.accepts = False
        self.attempts = 0
        self.before: Callable[[], object] = lambda: None
        self.cause: Exception | None = ConnectionRefusedError()

    def take(self, args: tuple[object, ...], *, retry: bool, countdown: float = 0) -> None:
        assert not retry
        self.attempts += 1
        self.before()
        if not self.accepts:
            raise OperationalError("broker is down") from self.cause


@pytest.mark.parametrize(
    ("chosen", "broker", "celery"),
    [
        ("inline", "redis://127.0.0.1", False),
        ("celery", None, True),
        (None, None, False),
        (None, "redis://127.0.0.1", True),
    ],
)
def test_setting_or_broker_decides_whether_celery_is_used(
    settings, monkeypatch, chosen, broker, celery
):
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": chosen}
    monkeypatch.setattr(current_app.conf, "broker_url", broker)
    assert enqueue.uses_celery() is celery


def test_worker_starts_a_kind_with_a_delay_later(monkeypatch):
    """SG64: recalculations of several scores become one."""
    sent = []
    monkeypatch.setattr(tasks.apply_replies, "apply_async", lambda *a, **k: sent.append((a, k)))
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1")
    kind = enqueue.Kind(tasks.apply_replies, delay=lambda: 2.5)
    monkeypatch.setitem(enqueue._kinds, "apply_reply", kind)
    enqueue.start("apply_reply", [7])
    assert sent == [((([7],),), {"retry": False, "countdown": 2.5})]


def test_error_of_an_eager_task_is_no_outage(settings, monkeypatch):
    """C91: the task has raised, not the broker, so the next one is not skipped."""
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
    monkeypatch.setitem(current_app.conf.changes, "task_always_eager", True)
    monkeypatch.setattr(enqueue.broker, "_retry_at", time.monotonic())

    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tasks.apply_replies, "apply_async", fail)
    with pytest.raises(ZeroDivisionError):
        enqueue.start("apply_reply", [7])
    assert not enqueue.broker.is_open


def test_failed_job_is_named_with_its_items(monkeypatch, caplog):
    """Kind 14: which work failed; other arguments than ids may be secrets."""

    def fail(name: str, items: tuple[int, ...]) -> None:
        raise RuntimeError

    monkeypatch.setattr(enqueue, "start", fail)
    enqueue.run_together([partial(fail, "apply_reply", (7, 8)), partial(print, "secret", file=0)])
    assert "A job after the response failed: RuntimeError (apply_reply: 7, 8)" in caplog.text
    assert "A job after the response failed: AttributeError (print)" in caplog.text
    assert "secret" not in caplog.text
