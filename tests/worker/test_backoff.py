"""The seconds between two attempts."""

from __future__ import annotations

import pytest

from xqueue_bridge.worker.backoff import backoff


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(0, 2), (1, 2), (2, 4), (3, 8), (5, 30), (10_000, 30)]
)
def test_without_jitter_the_wait_doubles_up_to_the_longest(attempt, seconds):
    """C106: also a number of attempts that no float could double is accepted."""
    assert backoff(attempt, 2, 30, jitter=0) == seconds


def test_jitter_shortens_the_wait_by_a_random_part():
    waits = {backoff(3, 2, 100, jitter=0.25) for _ in range(200)}
    assert 6 <= min(waits) < 6.5
    assert 7.5 < max(waits) <= 8
    assert len(waits) > 100


def test_half_of_the_wait_is_random_by_default():
    waits = {backoff(3, 2, 100) for _ in range(200)}
    assert 4 <= min(waits) < 5
    assert 7 < max(waits) <= 8
