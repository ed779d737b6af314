"""Fixtures of this room."""

import pytest
from django.core.cache import cache

from tests.submission_queue.factories import GraderClient, make_grader


@pytest.fixture(autouse=True)
def _forget_principals():
    """What one test's cache believes of graders is no business of the next."""
    cache.clear()


@pytest.fixture
def grader(db) -> GraderClient:
    return make_grader()
