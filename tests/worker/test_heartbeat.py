"""Heartbeats of background processes."""

from __future__ import annotations

import pytest
from django.utils import timezone

from xqueue_bridge import tasks
from xqueue_bridge.worker import heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_earlier_heartbeat(monkeypatch) -> None:
    monkeypatch.setattr(heartbeat, "_recorded", {})


def test_heartbeat_is_written_once_in_the_interval(monkeypatch, django_assert_num_queries) -> None:
    with django_assert_num_queries(1):
        heartbeat.record("a process")
        heartbeat.record("a process")
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.0)
    first = heartbeat.last_seen("a process")
    heartbeat.record("a process")
    assert first is not None
    assert first < heartbeat.last_seen("a process") <= timezone.now()


def test_process_without_heartbeat_was_never_seen() -> None:
    heartbeat.record("another process")
    assert heartbeat.last_seen("a process") is None


def test_sweep_records_a_heartbeat_even_if_a_kind_of_work_fails(monkeypatch) -> None:
    def fail() -> int:
        raise RuntimeError

    monkeypatch.setattr(tasks.submission_queue, "fail_exhausted", fail)
    with pytest.raises(ExceptionGroup):
        tasks.sweep()
    assert heartbeat.last_seen(heartbeat.SWEEPER) is not None
