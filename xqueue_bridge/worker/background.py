"""A thread of the process that runs jobs, so that no request waits for them.

Jobs that come within INTERVAL are run together, which costs less than one by one.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from django.db import close_old_connections, connections

from xqueue_bridge.lms.request_cache import clear_request_cache

Job: TypeAlias = Callable[[], object]

log = logging.getLogger(__name__)

#: Seconds between the beginnings of two runs, unless ENOUGH jobs wait.
INTERVAL = 0.2
ENOUGH = 50
#: Jobs that wait at most.
MAX_WAITING = 1_000
#: Seconds without a job after which the thread ends and closes its database connections.
IDLE_SECONDS = 60.0
#: Seconds for which a process that ends waits for the jobs. The web server needs some more to end
#: within five seconds of SIGTERM.
STOP_SECONDS = 3.0


class JobThread:
    """Passes jobs to ``run``, one run after the other; the thread is started when there is a job.

    ``run`` raises no exception. Jobs are lost if the process is killed, so there is a row in the
    database that says what is to be done.
    """

    def __init__(self, run: Callable[[Sequence[Job]], object]) -> None:
        self._run = run
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.stop)

    def _reset(self) -> None:
        """Have no thread and no jobs: those of a parent process are not the child's."""
        self._changed = threading.Condition()
        self._jobs: list[Job] = []
        self._thread: threading.Thread | None = None
        self._is_stopping = False

    def put(self, jobs: Sequence[Job]) -> bool:
        """Run the jobs soon. Return False if the caller has to run them: there are too many."""
        with self._changed:
            if self._is_stopping or len(self._jobs) + len(jobs) > MAX_WAITING:
                return False
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._work, name="xqueue_bridge", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system has no more threads, or Python ends
                    return False
                self._thread = thread
            self._jobs.extend(jobs)
            self._changed.notify_all()
        return True

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Run what waits, and end the thread; wait for it at most so many seconds."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(seconds)
            if thread.is_alive():
                log.warning("Jobs were not finished in %s s: the sweeper does them", seconds)

    def _work(self) -> None:
        try:
            while jobs := self._next():
                began = time.monotonic()
                close_old_connections()
                clear_request_cache()
                self._run(jobs)
                close_old_connections()
                self._rest(began + INTERVAL - time.monotonic())
        finally:
            connections.close_all()

    def _next(self) -> list[Job]:
        """Wait for jobs; return none if the thread has to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._is_stopping, IDLE_SECONDS)
            jobs, self._jobs = self._jobs, []
            if not jobs:
                self._thread = None
            return jobs

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or len(self._jobs) >= ENOUGH, seconds)


def threads_run() -> bool:
    """Return whether threads run between two requests: in uWSGI only if it is told so."""
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is None or bool(uwsgi.opt.keys() & {"enable-threads", "threads"})
