"""What the processes do that are killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta

from tests.journeys.conftest import celery_app
from tests.journeys.mortals import die_at
from xqueue_bridge.records import enqueueing
from xqueue_bridge.tasks import sweep

#: How a worker ends that had nothing left to do before its moment came.
IDLE = -signal.SIGUSR1


def work_until_killed(broker: str, queue_name: str, moment: int, seconds: float) -> None:
    """Be a Celery worker, until the given moment, or for so many seconds."""
    app = celery_app(broker, queue_name)
    end = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1))
    end.start()
    die_at(moment)
    app.Worker(
        pool="solo",
        hostname=f"worker-{os.getpid()}@localhost",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="ERROR",
    ).start()


def sweep_until_killed(moment: int, sweeps: int) -> None:
    """Be the sweeper, until the given moment, or for so many sweeps. Changes stay young."""
    enqueueing.SETTLE = timedelta(hours=1)  # however long all of the test takes
    die_at(moment)
    for _ in range(sweeps):
        sweep()
        time.sleep(0.01)


def sweep_after_a_while(sweeps: int) -> None:
    """Be the sweeper at a time when changes of grades are no longer young."""
    enqueueing.SETTLE = timedelta(0)
    for _ in range(sweeps):
        sweep()
        time.sleep(0.05)
