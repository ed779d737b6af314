"""Start pending work soon: by a Celery worker if a broker is configured, else in this process.

A grader times out after a second and does not need the result of applying its reply. So a view
collects jobs with ``defer_jobs``, and the response calls ``run_later`` once its bytes are sent.

Pending work is in database rows, so a lost start delays it only until the sweeper's next run.
``tasks.py`` registers the kinds of work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from celery import current_app

from xqueue_bridge.conf import options
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.worker.background import Job, JobThread, threads_run
from xqueue_bridge.worker.circuit_breaker import CircuitBreaker

log = logging.getLogger(__name__)

#: What identifies the work of one kind: the id of its row, or the values of its key.
Item: TypeAlias = int | tuple[int, str]

#: Items that one Celery task gets.
TASK_ITEMS = 50
#: Skips a broker for 30 seconds after a failed publish, so that no thread waits for it each time.
broker = CircuitBreaker(retry_seconds=30)


_collected: ContextVar[list[Job] | None] = ContextVar("xqueue_bridge_jobs", default=None)


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of work is started."""

    #: The Celery task, which takes a list of items; one item if not ``takes_many``.
    task: Any
    #: Does the work in this process; None: without a worker it is left to the sweeper.
    run: Callable[[Sequence[Any]], object] | None = None
    #: Returns the seconds after which a worker starts the task.
    delay: Callable[[], float] | None = None
    takes_many: bool = True


_kinds: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Define how ``enqueue`` starts work of this name."""
    _kinds[name] = kind


@contextmanager
def defer_jobs() -> Iterator[list[Job]]:
    """Collect the jobs that ``run_after_response`` receives inside this block."""
    jobs: list[Job] = []
    token = _collected.set(jobs)
    try:
        yield jobs
    finally:
        _collected.reset(token)


def run_after_response(job: Job) -> None:
    """Defer ``job`` inside a ``defer_jobs`` block; otherwise run it now."""
    jobs = _collected.get()
    if jobs is None:
        job()
    else:
        jobs.append(job)


def enqueue(name: str, item: Item) -> None:
    """Start the work after the response of the current request, or now if there is none."""
    run_after_response(partial(start, name, (item,)))


def run_later(jobs: Sequence[Job]) -> None:
    """Run jobs after the response: in a thread of this process, or now if it has none."""
    if jobs and not (options().BACKGROUND_THREAD and threads_run() and _thread.put(jobs)):
        run_together(jobs)


def run_together(jobs: Sequence[Job]) -> None:
    """Run jobs, and those that they enqueue; the work of one kind together, of an item once.

    A failed job does not stop the others; the sweeper repeats it.
    """
    while jobs:
        with defer_jobs() as following:
            for job in _grouped(jobs):
                try:
                    job()
                except Exception as exc:
                    kind = type(exc).__name__
                    log.warning("A job after the response failed: %s (%s)", kind, _name(job))
        jobs = following


def _name(job: Job) -> str:
    """Return what a job does, with the first items of its work; other arguments may be secrets."""
    if isinstance(job, partial) and job.func is start:
        name, items = job.args
        return f"{name}: {', '.join(map(str, items[:5]))}"
    return getattr(getattr(job, "func", job), "__qualname__", "unnamed")


def _grouped(jobs: Iterable[Job]) -> list[Job]:
    rest: list[Job] = []
    items: dict[str, dict[Item, None]] = {}
    for job in jobs:
        if isinstance(job, partial) and job.func is start:
            name, some = job.args
            items.setdefault(name, {}).update(dict.fromkeys(some))
        else:
            rest.append(job)
    return rest + [partial(start, name, tuple(each)) for name, each in items.items()]


def start(name: str, items: Sequence[Item]) -> None:
    """Publish tasks of this work to the broker, or do the work here."""
    kind = _kinds[name]
    if uses_celery():
        for some in chunks(items, TASK_ITEMS if kind.takes_many else 1):
            _publish(kind, some if kind.takes_many else some[0])
    elif kind.run is not None:
        kind.run(items)


def uses_celery() -> bool:
    """Return whether Celery workers process the tasks."""
    chosen = options().TASK_RUNNER
    return chosen == "celery" or (chosen is None and bool(current_app.conf.broker_url))


def _publish(kind: Kind, argument: object) -> None:
    if not broker.allows():
        return
    countdown = {"countdown": kind.delay()} if kind.delay else {}
    try:
        kind.task.apply_async((argument,), retry=False, **countdown)
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


_thread = JobThread(run_together)
