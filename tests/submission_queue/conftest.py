"""Fixtures: a grader account, and a cache that starts empty."""

import pytest
from django.core.cache import cache

from tests.submission_queue.factories import GraderClient, make_grader


@pytest.fixture(autouse=True)
def _empty_cache():
    """Clear the cache, so that no grader account of another test is read from it."""
    cache.clear()


@pytest.fixture
def grader(db) -> GraderClient:
    return make_grader()
