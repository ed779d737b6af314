"""What the processes do that are killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta
from typing import Any

from celery.signals import worker_ready
from django.db import connection

from tests.grader_replies import real_block
from tests.integration.conftest import celery_app
from tests.integration.killable_processes import die_at
from xqueue_bridge.credentials import enqueue
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.tasks import sweep

#: How a worker ends that had nothing left to do before its moment came.
IDLE = -signal.SIGUSR1
#: For XQUEUE_BRIDGE["BLOCK_LOADER"]; imported here, once for all processes.
load_block = real_block.load_block


def work_until_killed(broker: str, queue_name: str, moment: int, seconds: float) -> None:
    """Be a Celery worker, until the given moment, or until there was nothing to do for so long."""
    app = celery_app(broker, queue_name)
    rest = Rest(seconds)
    worker_ready.connect(rest.begin)  # however long the start has taken
    connection.execute_wrappers.append(rest.disturb)
    die_at(moment)
    app.Worker(
        pool="solo",
        hostname=f"worker-{os.getpid()}@localhost",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="ERROR",
    ).start()


class Rest:
    """Ends this process after seconds without a statement."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def begin(self, **kwargs: Any) -> None:
        self._until = time.monotonic() + self._seconds
        threading.Thread(target=self._watch, daemon=True).start()

    def disturb(self, execute: Any, *args: Any) -> Any:
        self._until = time.monotonic() + self._seconds
        return execute(*args)

    def _watch(self) -> None:
        while time.monotonic() < self._until:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGUSR1)


def sweep_until_killed(moment: int, sweeps: int) -> None:
    """Be the sweeper, until the given moment, or for so many sweeps. Changes stay young."""
    enqueue.SETTLE = timedelta(hours=1)  # however long all of the test takes
    die_at(moment)
    for _ in range(sweeps):
        sweep()
        time.sleep(0.01)


def sweep_after_a_while(sweeps: int) -> None:
    """Be the sweeper at a time when changes of grades are no longer young."""
    enqueue.SETTLE = timedelta(0)
    for _ in range(sweeps):
        sweep()
        time.sleep(0.05)


def deliver_until_killed(reply_id: int, moment: int) -> None:
    """Deliver one reply, until the given moment."""
    die_at(moment)
    grader_replies.apply_reply(reply_id)
