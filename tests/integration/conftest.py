"""A learner whose problem waits, and a grader's account; for whole stories."""

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
from kombu import Queue
from opaque_keys.edx.keys import UsageKey

from tests.submission_queue.factories import COURSE, PROBLEM, new_submission
from xqueue_bridge.grader_api.responses import Envelope
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.submission_queue import api as submission_queue

ANSWER = "block_2_1"

BROKERS = {
    "redis": "redis://127.0.0.1:6379/15",
    "rabbitmq": "amqp://guest:guest@127.0.0.1:5672//",
}


def celery_app(broker: str, queue_name: str) -> Celery:
    """Return a Celery app that is the current one, as a host's ``celery.py`` makes it."""
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
    """Let a test make a Celery app the current one, with a queue of its own."""
    former = current_app._get_current_object()
    # A worker in this process would set the root logger's level, for all tests that follow.
    setup_logging.connect(_leave_logging_alone)
    yield lambda url: celery_app(url, f"xqueue-bridge-tests-{uuid.uuid4().hex}")
    setup_logging.disconnect(_leave_logging_alone)
    former.set_default()
    former.set_current()


def _leave_logging_alone(**kwargs: object) -> None:
    """To Celery, whoever receives this signal has set up logging."""


@pytest.fixture(autouse=True)
def _forget_principals():
    cache.clear()


@pytest.fixture
def secret(transactional_db) -> str:
    return submission_queue.create_grader("watcher", ["python"])


@pytest.fixture
def live_server(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server; no test is over before what is done after the answers to its graders."""
    at_work: list[Envelope] = []
    begin, close = Envelope.__init__, Envelope.close

    def begin_noted(self: Envelope, *args: Any, **kwargs: Any) -> None:
        at_work.append(self)
        begin(self, *args, **kwargs)

    def close_noted(self: Envelope) -> None:
        try:
            close(self)
        finally:
            at_work.remove(self)

    monkeypatch.setattr(Envelope, "__init__", begin_noted)
    monkeypatch.setattr(Envelope, "close", close_noted)
    yield live_server
    assert eventually(lambda: not at_work, 60)


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
    """Send an answer and save the state that waits for it; return the learner's id."""
    if user_id is None:
        user_id = get_user_model().objects.create(username=f"learner of {queue_key}").pk
    submission_queue.enqueue(
        new_submission(user_id=user_id, usage_key=usage_key, queue_key=queue_key, **kwargs)
    )
    learner_state.save_fields(user_id, COURSE, usage_key, waiting_state(queue_key))
    return user_id


def grade_of(user_id: int, usage_key: UsageKey = PROBLEM) -> float | None:
    """Return the learner's grade, None while there is none."""
    score = learner_state.read_score(user_id, usage_key, COURSE)
    return score.grade if score else None


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Return whether ``condition`` comes true in time: a grader is answered before the learner."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
