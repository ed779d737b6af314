"""Celery tasks: enqueueing with and without a broker, and sweeping."""

from __future__ import annotations

import pytest
from celery import current_app
from django.db import connection

from xqueue_bridge import tasks
from xqueue_bridge.credentials import api as credentials


@pytest.mark.django_db
def test_sweep_without_work_returns_zeros():
    assert set(tasks.sweep().values()) == {0}


@pytest.mark.django_db
def test_error_in_one_kind_of_work_does_not_stop_the_sweep(settings, monkeypatch):
    """SG44: if one kind of work raises, the sweep does the other kinds, then raises."""
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "no.such.backend"}
    done = []
    monkeypatch.setattr(credentials, "send_due", lambda: done.append("sent"))
    with pytest.raises(ExceptionGroup, match=r"^Not swept: replies applied \(Mod"):
        tasks.sweep()
    assert done == ["sent"]


def test_sweep_task_expires(monkeypatch):
    """Celery beat enqueues sweeps while no worker runs; old ones expire."""
    sent = []
    monkeypatch.setattr(current_app, "send_task", lambda *a, **kwargs: sent.append(kwargs))
    tasks.sweep.apply_async()
    assert 60 <= sent[0]["expires"] <= 3600


@pytest.mark.django_db
def test_apply_of_a_deleted_reply_is_logged(caplog):
    """C125: a learner may be retired after the task was enqueued; the task only logs that."""
    caplog.set_level("INFO", "xqueue_bridge.grader_replies.apply")
    tasks.apply_replies([4711])
    [record] = caplog.records
    assert record.getMessage().startswith("Reply 4711 is gone")
    assert record.reply_id == 4711


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_eager", [False, True])
def test_worker_replaces_a_connection_that_was_lost_since_the_last_task(is_eager, monkeypatch):
    """Celery keeps connections without a look at them if CELERY_DB_REUSE_MAX is set."""
    connection.ensure_connection()
    kept = connection.connection
    monkeypatch.setattr(connection, "errors_occurred", True)
    monkeypatch.setattr(connection, "is_usable", lambda: False)
    tasks.sweep.push_request(is_eager=is_eager)
    try:
        tasks.sweep.before_start("some-id", (), {})
    finally:
        tasks.sweep.pop_request()
    # The connection of an eager task is the caller's.
    assert (connection.connection is kept) is is_eager
