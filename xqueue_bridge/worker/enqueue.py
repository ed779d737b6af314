"""Start pending work soon: by a Celery worker if a broker is configured, else in this process.

Pending work is in database rows, so a lost start delays it only until the sweeper's next run.
``tasks.py`` registers the kinds of work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery import current_app

from xqueue_bridge.conf import options
from xqueue_bridge.worker.after_response import run_after_response
from xqueue_bridge.worker.circuit_breaker import CircuitBreaker

log = logging.getLogger(__name__)

#: Skips a broker for 30 seconds after a failed publish, so that web threads do not wait for it.
broker = CircuitBreaker(retry_seconds=30)


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of work is started."""

    #: The Celery task, which takes the arguments of ``enqueue``.
    task: Any
    #: Does the work in this process; None: without a worker it is left to the sweeper.
    run: Callable[..., object] | None = None
    #: Returns the seconds after which a worker starts the task.
    delay: Callable[[], float] | None = None


_kinds: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Define how ``enqueue`` starts work of this name."""
    _kinds[name] = kind


def enqueue(name: str, *args: int | str) -> None:
    """Start the work after the response of the current request, or now if there is none."""
    run_after_response(partial(start, name, *args))


def start(name: str, *args: int | str) -> None:
    """Publish the task of this work to the broker, or do the work here."""
    kind = _kinds[name]
    if uses_celery():
        _publish(kind, args)
    elif kind.run is not None:
        kind.run(*args)


def uses_celery() -> bool:
    """Return whether Celery workers process the tasks."""
    chosen = options().TASK_RUNNER
    return chosen == "celery" or (chosen is None and bool(current_app.conf.broker_url))


def _publish(kind: Kind, args: tuple[int | str, ...]) -> None:
    if not broker.allows():
        return
    countdown = {"countdown": kind.delay()} if kind.delay else {}
    try:
        kind.task.apply_async(args, retry=False, **countdown)
    except Exception as exc:
        # Each kind of broker raises its own exceptions; a wrong password is no OperationalError.
        if current_app.conf.task_always_eager:
            broker.record_success()
            raise  # there is no broker: the task itself has raised
        if broker.record_failure():
            # Only the exception's type is logged: some brokers' messages quote the task.
            name = type(exc.__cause__ or exc).__name__
            log.warning("The broker cannot be used (%s): work is left to the sweeper", name)
    else:
        broker.record_success()
