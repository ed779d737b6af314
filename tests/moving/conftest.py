"""Fixtures: a legacy XQueue server's table, and learners whose problems wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth import get_user_model

from tests.integration.conftest import waiting_state
from tests.moving import legacy_server
from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.learner_state import student_module as learner_state


@pytest.fixture
def legacy_table(transactional_db: None) -> Iterator[None]:
    """Create the table; a test that uses it has the mark ``django_db(databases=...)``."""
    legacy_server.create_table()
    yield
    legacy_server.drop_table()


@pytest.fixture
def learner(transactional_db: None) -> Callable[[], int]:
    """Return a function that creates a learner whose problem waits for ``key-<user id>``."""

    def create() -> int:
        users = get_user_model().objects
        user_id = users.create(username=f"learner {users.count()}").pk
        learner_state.save_fields(user_id, COURSE, PROBLEM, waiting_state(f"key-{user_id}"))
        return user_id

    return create
