"""A cache that is down is left out; no request fails because of it."""

from __future__ import annotations

import time

import pytest

from tests.submission_queue.factories import GOOD_REPLY, GraderClient, make_grader, new_submission
from xqueue_bridge import cache
from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.crawlers import CrawlersConfig
from xqueue_bridge.learner_state.scores.max_scores_cache import MaxScoresCache
from xqueue_bridge.submission_queue import api

DOWN = {"default": {"BACKEND": f"{__name__}.BrokenCache"}}


class BrokenCache:
    """A cache backend whose server does not answer."""

    calls = 0

    def __init__(self, location: str, params: dict[str, object]) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        if name == "close":
            return lambda **kwargs: None
        type(self).calls += 1
        raise ConnectionError("cache.example.com:6379 does not answer")


@pytest.fixture
def down(settings, monkeypatch) -> None:
    monkeypatch.setattr(BrokenCache, "calls", 0)
    settings.CACHES = DOWN


class TestBestEffortCache:
    def test_working_cache(self, caplog):
        best_effort = BestEffortCache()
        best_effort.set("a", 1, 60)
        best_effort.set_many({"b": 2}, 60)
        assert best_effort.get("a") == 1
        assert best_effort.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}
        assert best_effort.add("c", 3, 60)
        assert not best_effort.add("c", 4, 60)
        best_effort.delete("c")
        assert best_effort.get("c", "default") == "default"
        assert not cache.is_cache_down()
        assert caplog.records == []

    def test_cache_that_is_down(self, down):
        best_effort = BestEffortCache()
        best_effort.set("a", 1, 60)
        best_effort.set_many({"b": 2}, 60)
        best_effort.delete("a")
        assert best_effort.get("a", "default") == "default"
        assert best_effort.get_many(["a"]) == {}
        assert best_effort.add("a", 1, 60)
        assert cache.is_cache_down()
        cache.breaker.record_success()
        assert best_effort.get_many(["a"]) == {}, "as in the call that fails itself"

    def test_cache_that_is_down_is_called_once_in_five_seconds(self, down, monkeypatch, caplog):
        """Each call may wait for the cache's own timeout."""
        for _ in range(10):
            BestEffortCache().get("a")
        assert BrokenCache.calls == 1
        assert [record.getMessage() for record in caplog.records] == [
            "Cache 'default' cannot be used (ConnectionError): work goes on without it"
        ]
        monkeypatch.setattr(cache.breaker, "_retry_at", time.monotonic())
        BestEffortCache().get("a")
        assert BrokenCache.calls == 2
        assert len(caplog.records) == 1

    def test_cache_that_answers_again(self, down, settings, monkeypatch, caplog):
        BestEffortCache().get("a")
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        monkeypatch.setattr(cache.breaker, "_retry_at", 0.001)
        BestEffortCache().set("a", 1, 60)
        assert BestEffortCache().get("a") == 1
        assert caplog.records[-1].getMessage() == "Cache 'default' can be used again"


@pytest.mark.django_db(transaction=True)
class TestEveryEndpoint:
    def test_complete_cycle_costs_no_grade(self, down):
        """C43, C53, C80: login, status, length, pull, result and logout work without a cache."""
        grader = make_grader()
        assert grader.http.get("/xqueue/status/").json() == {"return_code": 0, "content": "OK"}
        api.enqueue(new_submission())
        assert grader.ask("get_queuelen", queue_name="python")["content"] == 1
        submission = grader.pull()
        assert submission
        assert grader.put(submission.header, GOOD_REPLY) == {"return_code": 0, "content": ""}
        assert ReceivedReply.objects.count() == 1
        assert grader.http.post("/xqueue/logout/").json()["content"] == "Goodbye"
        assert grader.http.get("/xqueue/get_queuelen/?queue_name=python").status_code == 302

    def test_failed_logins(self, down, settings):
        """C43: wrong secrets are refused, however many there are."""
        settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "1/min"}
        grader = make_grader()
        for _ in range(3):
            assert grader.login(password="wrong")["return_code"] == 1
        assert grader.login()["return_code"] == 0

    def test_cache_that_fails_while_a_grader_works(self, settings):
        """C80: a result is stored although the session can no longer be looked up there."""
        grader = make_grader()
        api.enqueue(new_submission())
        submission = grader.pull()
        assert submission
        settings.CACHES = DOWN
        assert grader.put(submission.header, GOOD_REPLY) == {"return_code": 0, "content": ""}

    def test_cached_value_of_another_release(self, grader_with_odd_cache):
        """A value that is not a Principal is read again from the database."""
        assert grader_with_odd_cache.ask("get_queuelen", queue_name="python")["return_code"] == 0


@pytest.fixture
def grader_with_odd_cache(db) -> GraderClient:
    from xqueue_bridge.submission_queue.grader_models import GraderSecret

    grader = make_grader()
    key = f"xqueue_bridge.principal.{GraderSecret.objects.get().pk}"
    BestEffortCache().set(key, {"grader_id": 1}, 60)
    return grader


@pytest.mark.django_db
def test_crawlers_and_maximum_scores_without_a_cache(down):
    """The cache's other users: they read the database, and know no maximum."""
    CrawlersConfig.objects.create(pk=1, enabled=True, known_user_agents="edX-downloader")
    assert CrawlersConfig.current_agents() == ("edX-downloader",)
    scores = MaxScoresCache("course")
    scores.fetch_from_remote([])
    scores.push_to_remote()
    assert scores.num_cached_from_remote() == 0
