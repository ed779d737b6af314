"""Caching the maximum scores of problems for learners without an attempt."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.core.cache import CacheKeyWarning
from django.core.cache.backends.base import memcache_key_warnings

from tests.doubles.xblocks import COURSE, usage_key
from xqueue_bridge import cache
from xqueue_bridge.learner_state.scores.max_scores_cache import MaxScoresCache

SUMS, PRIMES = usage_key("problem-sums"), usage_key("problem-primes")
MONDAY = datetime(2026, 11, 16, 9, 0, tzinfo=UTC)


def of_course(edited_on=MONDAY, locations=(SUMS, PRIMES)):
    course = SimpleNamespace(id=COURSE, subtree_edited_on=edited_on)
    scores = MaxScoresCache.create_for_course(course)
    scores.fetch_from_remote(locations)
    return scores


class CountingCache:
    """A cache that records the calls of its methods."""

    def __init__(self):
        self.kept = {}
        self.calls = []

    def get_many(self, names):
        self.calls.append("get_many")
        return {name: self.kept[name] for name in names if name in self.kept}

    def set_many(self, values, timeout):
        self.calls.append(("set_many", timeout))
        self.kept.update(values)


@pytest.fixture
def remote(monkeypatch):
    counting = CountingCache()
    monkeypatch.setattr(cache, "caches", {"default": counting})
    return counting


def test_maximum_set_for_one_learner_is_read_for_the_next():
    """SG52: store a maximum in one visit, and read it in the next."""
    first = of_course()
    assert first.get(SUMS) is None
    first.set(SUMS, 5)
    first.push_to_remote()
    assert of_course().get(SUMS) == 5
    assert of_course().get(PRIMES) is None


def test_publish_invalidates_the_cached_maxima():
    """SG52: read no maximum after a publish that was stored before it."""
    before = of_course()
    before.set(SUMS, 5)
    before.push_to_remote()
    after = of_course(MONDAY + timedelta(seconds=1))
    assert after.get(SUMS) is None
    after.set(SUMS, 4)
    after.push_to_remote()
    assert of_course(MONDAY + timedelta(seconds=1)).get(SUMS) == 4


@pytest.mark.parametrize("course", [SimpleNamespace(id=COURSE, subtree_edited_on=None), None])
def test_prefix_of_a_course_without_a_date_is_its_key(course):
    scores = MaxScoresCache.create_for_course(course or SimpleNamespace(id=COURSE))
    assert scores.cache_prefix == str(COURSE)


def test_maxima_of_another_course_are_not_read():
    ours = of_course()
    ours.set(SUMS, 5)
    ours.push_to_remote()
    other = MaxScoresCache("course-v1:DemoX+CS101+2027")
    other.fetch_from_remote([SUMS])
    assert other.get(SUMS) is None


def test_pending_value_replaces_the_fetched_one(remote):
    """Return the pending value, also if it is 0."""
    first = of_course()
    first.set(SUMS, 5)
    first.push_to_remote()
    scores = of_course()
    scores.set(SUMS, 0)
    assert scores.get(SUMS) == 0


def test_counts_of_fetched_and_changed_maxima(remote):
    scores = of_course()
    scores.set(SUMS, 5)
    scores.push_to_remote()
    scores = of_course()
    assert (scores.num_cached_from_remote(), scores.num_cached_updates()) == (1, 0)
    scores.set(SUMS, 5)
    assert scores.num_cached_updates() == 0, "an unchanged score is not an update"
    scores.set(PRIMES, 2)
    scores.set(SUMS, 6)
    assert (scores.num_cached_from_remote(), scores.num_cached_updates()) == (1, 2)


def test_fetch_and_push_take_one_call_each(remote):
    scores = of_course(locations=[usage_key(f"problem-{n}") for n in range(50)])
    scores.push_to_remote()
    assert remote.calls == ["get_many"]
    for n in range(50):
        scores.set(usage_key(f"problem-{n}"), n)
    scores.push_to_remote()
    assert remote.calls == ["get_many", ("set_many", 24 * 60 * 60)]
    assert of_course(locations=[usage_key("problem-7")]).get(usage_key("problem-7")) == 7


@pytest.mark.parametrize("name", ["sums", "s" * 200, "приклад", "два слова"])
def test_cache_keys_are_valid_for_memcached(remote, name):
    location = SimpleNamespace(__str__=lambda: name)
    location = type("Location", (), {"__str__": lambda self: f"lb:org:lib:problem:{name}"})()
    scores = of_course()
    scores.set(location, 3)
    scores.push_to_remote()
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheKeyWarning)
        for kept in remote.kept:
            assert list(memcache_key_warnings(f":1:{kept}")) == []
            assert kept.startswith("grades.MaxScores.")
    assert len(remote.kept) == 1
