"""Jobs that run after a grader's response has been sent.

A grader times out after a second and does not need the result of applying its reply. The view
collects such jobs, and the response passes them to ``enqueue.run_later`` once its bytes are sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from xqueue_bridge.worker.background import Job

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
