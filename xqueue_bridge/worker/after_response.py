"""Ground: work that waits until a grader has its answer.

A grader gives up after a second, and has no use for what we do with its reply. Its view
collects such jobs; the response runs them once its bytes have been sent.
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
    """Collect the jobs handed to ``run_after_response`` inside this block."""
    jobs: list[Job] = []
    token = _collected.set(jobs)
    try:
        yield jobs
    finally:
        _collected.reset(token)


def run_after_response(job: Job) -> None:
    """Keep ``job`` for later where somebody collects; run it now elsewhere."""
    jobs = _collected.get()
    if jobs is None:
        job()
    else:
        jobs.append(job)


def run_jobs(jobs: list[Job]) -> None:
    """Run each job once. None may stop the others: the sweeper repeats what failed."""
    while jobs:
        try:
            jobs.pop(0)()
        except Exception as exc:  # whatever it is, the reply is stored and will be swept
            log.warning("A job after the response failed: %s", type(exc).__name__)
