"""Settings of Hypothesis, marks and fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import hypothesis
import pytest
from django.core.cache import caches

from xqueue_bridge import cache
from xqueue_bridge.worker import enqueue

# Each run tries the same examples and has no deadline, so that only a change can fail it.
# HYPOTHESIS_PROFILE=explore tries new examples.
_patient = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("suite", derandomize=True, **_patient)
hypothesis.settings.register_profile("explore", max_examples=2000, **_patient)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# `make test` runs without a browser and does not install Playwright.
collect_ignore = [] if find_spec("playwright") else ["demo/test_browser.py"]
# These run inside an LMS: make test-lms, and tests/lms/test_imitation.py.
collect_ignore += ["lms/inside", "lms/imitation"]
# edx-submissions is installed with SQLite only: see tests/settings.py.
if os.environ.get("XQUEUE_BRIDGE_TEST_DB", "sqlite") != "sqlite":
    collect_ignore += ["test_edx_submissions.py"]

_DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "live_server"}

#: Its app cannot be installed on MariaDB: see settings.py.
if os.environ.get("XQUEUE_BRIDGE_TEST_DB") == "mariadb":
    collect_ignore += ["test_edx_submissions.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use the database, so that CI can repeat only those on each database."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & _DATABASE_FIXTURES:
            item.add_marker("database")


@pytest.fixture(autouse=True)
def _empty_caches() -> Iterator[None]:
    """Clear the cache, which holds graders, revoked sessions and failed logins."""
    yield
    for each in caches.all(initialized_only=True):
        each.clear()


@pytest.fixture(autouse=True)
def _cache_that_answers() -> Iterator[None]:
    """Let no test find a cache that another test has broken."""
    yield
    cache.breaker.record_success()


@pytest.fixture(autouse=True)
def _broker_that_answers() -> None:
    """Reset the process's memory of a broker that was down."""
    enqueue.broker.record_success()
