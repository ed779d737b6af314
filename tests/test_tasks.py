"""Waking up, and sweeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import current_app
from kombu.exceptions import OperationalError

from tests.submission_queue.factories import COURSE
from xqueue_bridge import tasks
from xqueue_bridge.credentials import api as credentials
from xqueue_bridge.grader_replies import api as grader_replies


@pytest.fixture
def delivered(monkeypatch) -> list[int]:
    numbers: list[int] = []
    monkeypatch.setattr(grader_replies, "apply_reply", numbers.append)
    return numbers


def test_without_a_broker_it_is_done_here(delivered):
    tasks.enqueue_apply_reply(7)
    assert delivered == [7]


def test_with_a_broker_a_worker_does_it(delivered, monkeypatch):
    sent = []
    monkeypatch.setattr(tasks.apply_reply, "apply_async", lambda *a, **k: sent.append((a, k)))
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1")
    tasks.enqueue_apply_reply(7)
    assert sent == [(((7,),), {"retry": False})]
    assert delivered == []


class TestABrokerThatIsDown:
    """A Celery app that answers or does not, as the test says."""

    @pytest.fixture
    def broker(self, settings, monkeypatch) -> Broker:
        settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
        broker = Broker()
        for task in (tasks.apply_reply, tasks.recalculate_grade):
            monkeypatch.setattr(task, "apply_async", broker.take)
        return broker

    def let_the_pause_end(self, monkeypatch) -> None:
        assert tasks._ask_again_at > time.monotonic()
        monkeypatch.setattr(tasks, "_ask_again_at", time.monotonic())

    def test_nothing_is_lost(self, broker, delivered, caplog):
        """C91: what the broker would have been told is left to the sweeper, and that is logged."""
        tasks.enqueue_apply_reply(7)
        assert delivered == []
        assert "nobody there" not in caplog.text
        assert "(ConnectionRefusedError): work is left to the sweeper" in caplog.text

    def test_it_is_asked_once_in_a_pause(self, broker, monkeypatch, caplog):
        """C91: whatever the work is; one line says so, however long it lasts."""
        for _ in range(3):
            for number in range(3):
                tasks.enqueue_apply_reply(number)
                tasks.enqueue_recalculation(number, COURSE)
            self.let_the_pause_end(monkeypatch)
        assert broker.asked == 3
        assert caplog.text.count("left to the sweeper") == 1

    def test_it_comes_back_and_goes_again(self, broker, monkeypatch, caplog):
        tasks.enqueue_apply_reply(1)
        self.let_the_pause_end(monkeypatch)
        broker.answers = True
        for number in (2, 3):
            tasks.enqueue_apply_reply(number)
        broker.answers = False
        tasks.enqueue_apply_reply(4)
        assert broker.asked == 4
        assert caplog.text.count("left to the sweeper") == 2

    def test_one_thread_asks_again(self, broker, monkeypatch, caplog):
        """The others do not wait with it."""
        tasks.enqueue_apply_reply(0)
        self.let_the_pause_end(monkeypatch)
        asking, others_are_done = threading.Event(), threading.Event()
        broker.before = lambda: (asking.set(), others_are_done.wait(20))
        one = threading.Thread(target=tasks.enqueue_apply_reply, args=(1,))
        one.start()
        assert asking.wait(20)
        for number in range(8):
            tasks.enqueue_apply_reply(number)
        others_are_done.set()
        one.join()
        assert broker.asked == 2
        assert caplog.text.count("left to the sweeper") == 1

    def test_threads_that_find_it_down_together(self, broker, caplog):
        """They have asked by then; one of them says so."""
        together = threading.Barrier(8)
        broker.before = lambda: together.wait(20)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(tasks.enqueue_apply_reply, range(8)))
        assert broker.asked == 8
        assert caplog.text.count("left to the sweeper") == 1


def test_a_task_that_fails_where_there_is_no_broker(settings, monkeypatch):
    """Run at once, as in a host's own tests, a task is not taken for a broker that is down."""

    def fail(*args, **kwargs):
        raise ZeroDivisionError

    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
    monkeypatch.setattr(tasks.apply_reply, "apply_async", fail)
    monkeypatch.setitem(current_app.conf.changes, "task_always_eager", True)
    with pytest.raises(ZeroDivisionError):
        tasks.enqueue_apply_reply(7)
    assert tasks._ask_again_at == 0


class Broker:
    """Stands in for a task's way to the broker."""

    def __init__(self) -> None:
        self.answers = False
        self.asked = 0
        self.before: Callable[[], object] = lambda: None

    def take(self, args: tuple[object, ...], *, retry: bool, countdown: float = 0) -> None:
        assert not retry
        self.asked += 1
        self.before()
        if not self.answers:
            raise OperationalError("nobody there") from ConnectionRefusedError()


@pytest.mark.parametrize(
    ("chosen", "broker", "celery"),
    [
        ("inline", "redis://127.0.0.1", False),
        ("celery", None, True),
        (None, None, False),
        (None, "redis://127.0.0.1", True),
    ],
)
def test_who_delivers(settings, monkeypatch, chosen, broker, celery):
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": chosen}
    monkeypatch.setattr(current_app.conf, "broker_url", broker)
    assert tasks.uses_celery() is celery


@pytest.mark.django_db
def test_a_sweep_of_nothing():
    assert set(tasks.sweep().values()) == {0}


@pytest.mark.django_db
def test_what_fails_in_a_sweep_stops_nothing_else(settings, monkeypatch):
    """SG44: a wrong setting of one kind of work, or its bug, is no matter of the others."""
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "no.such.backend"}
    done = []
    monkeypatch.setattr(credentials, "send_due", lambda: done.append("sent"))
    with pytest.raises(ExceptionGroup, match=r"^Not swept: replies delivered \(Mod"):
        tasks.sweep()
    assert done == ["sent"]


def test_sweeps_that_nobody_runs_do_not_pile_up(monkeypatch):
    """Celery beat goes on while the workers stand still; a later sweep does what is left."""
    sent = []
    monkeypatch.setattr(current_app, "send_task", lambda *a, **kwargs: sent.append(kwargs))
    tasks.sweep.apply_async()
    assert 60 <= sent[0]["expires"] <= 3600


@pytest.mark.django_db
def test_a_reply_that_is_gone_is_no_error(caplog):
    """C125: its learner was retired between the wake-up and the worker."""
    caplog.set_level("INFO", "xqueue_bridge.tasks")
    tasks.apply_reply(4711)
    assert "Reply 4711 is gone" in caplog.text
