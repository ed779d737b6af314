"""Calls to a service that has failed are skipped for a time."""

from __future__ import annotations

import time

import pytest

from xqueue_bridge.worker.circuit_breaker import CircuitBreaker


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Set the monotonic time to the list's only value."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_working_service_is_always_called(clock):
    breaker = CircuitBreaker(retry_seconds=30)
    assert [breaker.allows() for _ in range(3)] == [True] * 3
    assert breaker.is_open is False


def test_failed_service_is_called_once_after_each_pause(clock):
    """C91: at the end of the pause, and again only when another pause has ended."""
    breaker = CircuitBreaker(retry_seconds=30)
    assert breaker.record_failure() is True
    assert breaker.is_open is True
    clock[0] = 1029.9
    assert breaker.allows() is False
    clock[0] = 1030.0
    assert [breaker.allows(), breaker.allows()] == [True, False]
    clock[0] = 1059.9
    assert breaker.allows() is False
    clock[0] = 1060.0
    assert breaker.allows() is True


def test_first_failure_is_told_from_the_next(clock):
    breaker = CircuitBreaker(retry_seconds=30)
    assert [breaker.record_failure(), breaker.record_failure()] == [True, False]
    clock[0] = 1030.0
    breaker.record_success()
    assert breaker.is_open is False
    assert breaker.allows() is True
    assert breaker.record_failure() is True
    clock[0] = 1059.9
    assert breaker.allows() is False
