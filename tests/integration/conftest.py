"""Fixtures of the integration tests: brokers, a grader account, learners whose problem waits."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, current_app
from celery.signals import setup_logging
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from kombu import Queue
from opaque_keys.edx.keys import UsageKey

from tests.db.test_connections import ClosedConnection
from tests.submission_queue.factories import COURSE, PROBLEM, new_submission
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.submission_queue import api as submission_queue

ANSWER = "block_2_1"

BROKERS = {
    "redis": "redis://127.0.0.1:6379/15",
    "rabbitmq": "amqp://guest:guest@127.0.0.1:5672//",
}


def celery_app(broker: str, queue_name: str) -> Celery:
    """Create a Celery app and make it the current one, as a host's ``celery.py`` does."""
    app = Celery("tests", broker=broker)
    app.conf.update(
        task_default_queue=queue_name,
        task_queues=[Queue(queue_name, expires=300)],
        broker_connection_retry_on_startup=False,
        broker_connection_timeout=1,
    )
    app.set_default()
    app.set_current()
    return app


@pytest.fixture
def use_broker() -> Iterator[Callable[[str], Celery]]:
    """Return a function that makes a Celery app with its own queue the current app."""
    former = current_app._get_current_object()
    # A worker in this process would set the root logger's level for all following tests.
    setup_logging.connect(_leave_logging_alone)
    yield lambda url: celery_app(url, f"xqueue-bridge-tests-{uuid.uuid4().hex}")
    setup_logging.disconnect(_leave_logging_alone)
    former.set_default()
    former.set_current()


def _leave_logging_alone(**kwargs: object) -> None:
    """Stop Celery from configuring logging: it does not if this signal has a receiver."""


@pytest.fixture(autouse=True)
def _empty_principal_cache():
    cache.clear()


@pytest.fixture
def secret(transactional_db) -> str:
    return submission_queue.create_grader("watcher", ["python"])


def waiting_state(queue_key: str, points: float = 1) -> dict[str, Any]:
    """Return a capa state that waits for ``queue_key``."""
    entry = {
        "correctness": "incomplete",
        "npoints": None,
        "msg": "1",
        "hint": "",
        "hintmode": None,
        "answervariable": None,
        "queuestate": {"key": queue_key, "time": "20261120101010"},
    }
    return {
        "correct_map": {ANSWER: entry},
        "score": {"raw_earned": 0, "raw_possible": points},
        "input_state": {ANSWER: {}},
    }


def submit(
    queue_key: str, *, user_id: int | None = None, usage_key: UsageKey = PROBLEM, **kwargs: Any
) -> int:
    """Enqueue an answer, save the state that waits for its reply, and return the user id."""
    if user_id is None:
        user_id = get_user_model().objects.create(username=f"learner of {queue_key}").pk
    submission_queue.enqueue(
        new_submission(user_id=user_id, usage_key=usage_key, queue_key=queue_key, **kwargs)
    )
    learner_state.save_fields(user_id, COURSE, usage_key, waiting_state(queue_key))
    return user_id


def grade_of(user_id: int, usage_key: UsageKey = PROBLEM) -> float | None:
    """Return the learner's score at the block, or None if there is none."""
    score = learner_state.read_score(user_id, usage_key, COURSE)
    return score.earned if score else None


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Poll ``condition`` and return whether it became true within ``seconds``.

    A grader's HTTP response is sent before its reply is applied, so tests must wait.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def sqlite_that_notices(monkeypatch) -> Iterator[None]:
    """Let SQLite find a connection that ``kill_connection`` has replaced; leave none of them."""
    if connection.vendor == "sqlite":
        is_closed = lambda: isinstance(connection.connection, ClosedConnection)  # noqa: E731
        monkeypatch.setattr(connection, "is_usable", lambda: not is_closed())
    yield
    if not connection.is_usable():
        connection.close()
