"""What every test can count on."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import hypothesis
import pytest
from django.core.cache import caches

# A machine that is busy with something else must not fail a property.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

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
