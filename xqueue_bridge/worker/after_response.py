"""Jobs that run after a grader's response has been sent.

A grader times out after a second and does not need the result of applying its reply. The view
collects such jobs, and the response runs them once its bytes have been sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Job = Callable[[], object]

log = logging.getLogger(__name__)
_collected: ContextVar[list[Job] | None] = ContextVar("xqueue_bridge_jobs", default=None)


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


def run_jobs(jobs: list[Job]) -> None:
    """Run each job once. A failed job does not stop the others; the sweeper repeats it."""
    while jobs:
        try:
            jobs.pop(0)()
        except Exception as exc:  # the reply is stored, so the sweeper will apply it
            log.warning("A job after the response failed: %s", type(exc).__name__)
