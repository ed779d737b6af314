"""Waking up, and sweeping."""

from __future__ import annotations

import pytest
from celery import current_app
from kombu.exceptions import OperationalError

from xqueue_bridge import tasks
from xqueue_bridge.grader_replies import api as grader_replies


@pytest.fixture
def delivered(monkeypatch) -> list[int]:
    numbers: list[int] = []
    monkeypatch.setattr(grader_replies, "deliver", numbers.append)
    return numbers


def test_without_a_broker_it_is_done_here(delivered):
    tasks.wake_up(7)
    assert delivered == [7]


def test_with_a_broker_a_worker_does_it(delivered, monkeypatch):
    sent = []
    monkeypatch.setattr(tasks.deliver_reply, "apply_async", lambda *a, **k: sent.append((a, k)))
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1")
    tasks.wake_up(7)
    assert sent == [(((7,),), {"retry": False})]
    assert delivered == []


def test_a_broker_that_is_down_loses_nothing(settings, delivered, monkeypatch, caplog):
    settings.XQUEUE_BRIDGE = {"WAKE_UP": "celery"}

    def down(*args, **kwargs):
        raise OperationalError("nobody there")

    monkeypatch.setattr(tasks.deliver_reply, "apply_async", down)
    tasks.wake_up(7)
    assert delivered == []
    assert "left to the sweeper" in caplog.text


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
    settings.XQUEUE_BRIDGE = {"WAKE_UP": chosen}
    monkeypatch.setattr(current_app.conf, "broker_url", broker)
    assert tasks.uses_celery() is celery


@pytest.mark.django_db
def test_a_sweep_of_nothing():
    assert set(tasks.sweep().values()) == {0}


@pytest.mark.django_db
def test_a_reply_that_is_gone_is_no_error(caplog):
    """C125: its learner was retired between the wake-up and the worker."""
    caplog.set_level("INFO", "xqueue_bridge.tasks")
    tasks.deliver_reply(4711)
    assert "Reply 4711 is gone" in caplog.text
