"""What every test can count on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import hypothesis
import pytest
from django.core.cache import caches

# The same examples every time, however busy the machine is: a run fails for what was changed.
# HYPOTHESIS_PROFILE=explore looks for new ones.
_patient = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("suite", derandomize=True, **_patient)
hypothesis.settings.register_profile("explore", max_examples=2000, **_patient)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# `make test` needs no browser, and installs nothing to drive one with.
collect_ignore = [] if find_spec("playwright") else ["demo/test_browser.py"]

_DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "live_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what touches the database, so that CI can repeat just that on each database."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & _DATABASE_FIXTURES:
            item.add_marker("database")


@pytest.fixture(autouse=True)
def _empty_caches() -> Iterator[None]:
    """Graders, ended sessions and failed logins are remembered in the cache, not by tests."""
    yield
    for cache in caches.all(initialized_only=True):
        cache.clear()


@pytest.fixture(autouse=True)
def _broker_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a broker was down is remembered by the process, not by the next test."""
    monkeypatch.setattr("xqueue_bridge.tasks._ask_again_at", 0.0)
