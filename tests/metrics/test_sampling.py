"""Samples of the queues: what they count, how often they are taken, and what that costs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.metrics.conftest import START, answered, newest_sample, submission
from xqueue_bridge.metrics import sampling
from xqueue_bridge.metrics.models import QueueSample

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
#: Samples of a minute are taken later than its end.
LATER = sampling.DELAY


def test_first_sample_counts_nothing_that_was_before(sample_at) -> None:
    submission(START - MINUTE)
    sample_at(START + LATER)
    assert (newest_sample().received_total, newest_sample().waiting) == (0, 1)


def test_next_sample_counts_what_was_received_and_finished_since(sample_at) -> None:
    submission(START - MINUTE)
    sample_at(START + LATER)
    submission(START + timedelta(seconds=1))
    answered(START + timedelta(seconds=2), waits=3, grades=4)
    answered(START + timedelta(seconds=2), waits=5, grades=6, status="failed")
    sample_at(START + MINUTE + LATER)
    sample = newest_sample()
    assert (sample.received_total, sample.answered_total, sample.failed_total) == (3, 1, 1)
    assert (sample.waiting_seconds_total, sample.grading_seconds_total) == (3, 4)


def test_totals_of_many_samples_count_each_submission_once(sample_at) -> None:
    submission(START - MINUTE)
    for number in range(6):
        sample_at(START + number * MINUTE + LATER)
        for second in (0, 15, 59):
            answered(START + number * MINUTE + timedelta(seconds=second), waits=30, grades=20)
    sample_at(START + 8 * MINUTE + LATER)
    assert (newest_sample().received_total, newest_sample().answered_total) == (18, 18)


def test_gap_of_the_sweeper_is_counted_by_the_next_sample(sample_at) -> None:
    submission(START - MINUTE)
    sample_at(START + LATER)
    answered(START + 5 * MINUTE, waits=1, grades=1)
    sample_at(START + 60 * MINUTE + LATER)
    assert newest_sample().answered_total == 1
    assert QueueSample.objects.count() == 2


def test_queues_are_counted_apart(sample_at) -> None:
    submission(START - MINUTE)
    sample_at(START + LATER)
    submission(START, queue_name="haskell")
    sample_at(START + MINUTE + LATER)
    assert newest_sample("haskell").received_total == 1
    assert newest_sample("python").received_total == 0


def test_minute_is_sampled_once_by_all_processes(sample_at, django_assert_num_queries) -> None:
    submission(START)
    assert sample_at(START + LATER) == 1
    with django_assert_num_queries(1):
        assert sample_at(START + LATER + timedelta(seconds=40)) == 0
    with django_assert_num_queries(0):
        assert sampling.take_samples() == 0


def test_race_of_two_sweepers_leaves_one_sample(sample_at) -> None:
    submission(START)
    sampling._take(START, None)
    sampling._take(START, None)
    assert QueueSample.objects.count() == 1


def test_sample_executes_thirteen_statements(sample_at, django_assert_num_queries) -> None:
    submission(START)
    sample_at(START + LATER)
    # The newest minute, its samples; what was received, its newest, what was finished; six of
    # queue_stats; the insert; what is too old.
    with django_assert_num_queries(13):
        sample_at(START + MINUTE + LATER)


def test_old_samples_are_deleted(sample_at) -> None:
    submission(START)
    sample_at(START + LATER)
    sample_at(START + sampling.KEEP + 2 * MINUTE + LATER)
    assert QueueSample.objects.count() == 1
