"""Fixtures: a legacy XQueue server's table, and learners whose problems wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.contrib.auth import get_user_model

from tests.integration.conftest import waiting_state
from tests.moving import legacy_server
from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.data import NewSubmission
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.moving import adopt


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


@pytest.fixture
def killed_import(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[bool], AbstractContextManager[None]]:
    """Return a context in which an import is killed, before or after it has enqueued a row."""

    @contextmanager
    def killed(was_enqueued: bool) -> Iterator[None]:
        original = adopt.submission_queue.enqueue

        def crash(new: NewSubmission, **limits: bool) -> None:
            if was_enqueued:
                original(new, **limits)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(adopt.submission_queue, "enqueue", crash)
            with pytest.raises(KeyboardInterrupt):
                yield

    return killed
