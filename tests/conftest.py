"""Settings of Hypothesis, marks and fixtures for all tests."""

from __future__ import annotations

import gc
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from typing import Any
from unittest import mock

import hypothesis
import pytest
from django.core.cache import caches
from django.core.servers.basehttp import ServerHandler
from django.db import DatabaseError, connection, connections
from django.test import TransactionTestCase
from django.test.utils import CaptureQueriesContext

from tests.empty_tables import empty_tables
from xqueue_bridge import cache
from xqueue_bridge.db import clock
from xqueue_bridge.worker import enqueue

# What is collected stays until the end: to search it for garbage, again and again, takes a third of
# the time of the collection.
gc.disable()

# Each run tries the same examples and has no deadline, so that only a change can fail it.
# HYPOTHESIS_PROFILE=thorough, as in two lanes of .ci/run, tries more of them; =explore new ones.
_patient = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("suite", max_examples=30, derandomize=True, **_patient)
hypothesis.settings.register_profile("thorough", max_examples=100, derandomize=True, **_patient)
hypothesis.settings.register_profile("explore", max_examples=2000, **_patient)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# `make test` runs without a browser and does not install Playwright.
BROWSER_TESTS = ["demo/test_browser.py", "demo/test_course_team_browser.py"]
collect_ignore = [] if find_spec("playwright") else list(BROWSER_TESTS)
# These run inside an LMS: make test-lms, and tests/lms/test_imitation.py.
collect_ignore += ["lms/inside", "lms/imitation"]
# Needs an installed xqueue-watcher: see tests/lms/stock_watcher.py.
collect_ignore += [] if os.environ.get("XQUEUE_WATCHER") else ["lms/test_stock_watcher.py"]

_DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "live_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use the database, so that CI can repeat only those on each database."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & _DATABASE_FIXTURES:
            item.add_marker("database")


def pytest_collection_finish() -> None:
    """Keep all modules and collected tests out of the garbage collections during the tests."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _empty_caches() -> Iterator[None]:
    """Clear the cache, which holds graders, revoked sessions and failed logins."""
    from xqueue_bridge.submission_queue import accounts

    yield
    for each in caches.all(initialized_only=True):
        each.clear()
    accounts._memory.clear()


@pytest.fixture
def without_course_grades(settings: Any) -> None:
    """Let no score cause the computation of a grade, which needs a course structure."""
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}


@pytest.fixture(autouse=True)
def _cache_that_answers() -> Iterator[None]:
    """Let no test find a cache that another test has broken."""
    yield
    cache.breaker.record_success()


@pytest.fixture(autouse=True)
def _broker_that_answers() -> None:
    """Reset the process's memory of a broker that was down."""
    enqueue.broker.record_success()


@pytest.fixture(autouse=True)
def _clock_that_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the database's clock for this process's, so that no test counts the comparison."""
    monkeypatch.setattr(clock, "_compared", (math.inf, timedelta(0)))


@pytest.fixture
def assert_locks_first() -> Callable[[Callable[[], object]], None]:
    """Return the check that a transaction's first statement locks, if its BEGIN does not.

    By default SQLite's does not, and then it may refuse a write after a read.
    """

    def check(work: Callable[[], object]) -> None:
        connection.ensure_connection()  # Django sets the mode of the settings
        begins = mock.patch.object(connections["default"], "transaction_mode", None, create=True)
        with begins, CaptureQueriesContext(connection) as captured:
            work()
        statements = iter(each["sql"] for each in captured)
        next(sql for sql in statements if sql.startswith(("BEGIN", "SAVEPOINT")))
        assert "UPDATE" in next(statements)

    return check


@pytest.fixture(autouse=True)
def _jobs_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run jobs in the request's thread: a test's transaction is not visible to another one."""
    monkeypatch.setattr(enqueue, "threads_run", lambda: False)


@pytest.fixture
def live_server(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run the live server; wait at the end until it has handled all requests.

    A client that was killed leaves its request, and jobs run after a response was sent. Both would
    use the database while the tables are emptied, which PostgreSQL can report as a deadlock.
    """
    lock = threading.Lock()
    running = 0
    run = ServerHandler.run

    def counted_run(self: ServerHandler, application: Any) -> None:
        nonlocal running
        with lock:
            running += 1
        try:
            run(self, application)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(ServerHandler, "run", counted_run)
    yield live_server
    deadline = time.monotonic() + 60
    while running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not running, "the live server still handles requests"


@pytest.fixture(autouse=True, scope="session")
def _tables_are_emptied() -> Iterator[None]:
    """Empty the tables in less time than Django; again if the first try fails.

    The server ends the last statement of a process that was killed, and a deadlock with it is no
    fault of the test. pytest-django would also leave its guards on the connections of all later
    tests of this process.
    """

    def empty(self: TransactionTestCase) -> None:
        for alias in self._databases_names(include_mirrors=False):
            try:
                empty_tables(alias)
            except DatabaseError:
                time.sleep(1)
                empty_tables(alias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
        yield
