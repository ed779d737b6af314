"""Functions that run in processes which a test kills."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from celery.signals import worker_ready
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from tests.grader_replies import real_block
from tests.integration.conftest import celery_app
from tests.integration.killable_processes import die_at
from tests.submission_queue.factories import GraderClient, new_submission, upload
from xqueue_bridge.credentials import enqueue
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.stuck_answers import api as stuck_answers
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import prune
from xqueue_bridge.tasks import sweep

#: Exit code of a worker that had no work left before the moment of its kill.
IDLE = -signal.SIGUSR1
#: For XQUEUE_BRIDGE["BLOCK_LOADER"]; imported before the fork, once for all processes.
load_block = real_block.load_block


def work_until_killed(broker: str, queue_name: str, moment: int, seconds: float) -> None:
    """Run a Celery worker until ``moment``, or until it ran no statement for ``seconds``."""
    app = celery_app(broker, queue_name)
    timer = IdleTimer(seconds)
    worker_ready.connect(timer.start)  # The start of the worker does not count.
    connection.execute_wrappers.append(timer.restart)
    die_at(moment)
    app.Worker(
        pool="solo",
        hostname=f"worker-{os.getpid()}@localhost",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="ERROR",
    ).start()


def prune_until_killed(moment: int, archive: bool) -> None:
    """Prune submissions until ``moment``, in chunks of two, without a pause."""
    prune.CHUNK, prune.SHORTEST_PAUSE, prune.LONGEST_PAUSE = 2, 0.0, 0.0
    die_at(moment)
    selection = submission_queue.Selection(timezone.now() - timedelta(days=365))
    for _ in submission_queue.prune_submissions(selection, archive=archive):
        pass


class IdleTimer:
    """Ends this process after some seconds without an SQL statement."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def start(self, **kwargs: Any) -> None:
        self._until = time.monotonic() + self._seconds
        threading.Thread(target=self._watch, daemon=True).start()

    def restart(self, execute: Any, *args: Any) -> Any:
        self._until = time.monotonic() + self._seconds
        return execute(*args)

    def _watch(self) -> None:
        while time.monotonic() < self._until:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGUSR1)


def sweep_until_killed(moment: int, sweeps: int) -> None:
    """Run the sweeper until ``moment``, or ``sweeps`` times. No grade counts as missed."""
    enqueue.COMMIT_GRACE = timedelta(hours=1)  # longer than the test takes
    die_at(moment)
    for _ in range(sweeps):
        sweep()
        time.sleep(0.01)


def sweep_after_a_while(sweeps: int) -> None:
    """Run the sweeper ``sweeps`` times; changed grades count as missed at once."""
    enqueue.COMMIT_GRACE = timedelta(0)
    for _ in range(sweeps):
        sweep()
        time.sleep(0.05)


def apply_until_killed(reply_id: int, moment: int) -> None:
    """Apply one reply; the process is killed at ``moment``."""
    die_at(moment)
    grader_replies.apply_reply(reply_id)


def apply_due_until_killed(moment: int) -> None:
    """Apply all due replies; the process is killed at ``moment``."""
    die_at(moment)
    grader_replies.apply_due()


def post_result_until_killed(secret: str, header: str, body: str, moment: int) -> None:
    """Be the web process that stores a result and applies it, until ``moment``."""
    grader = GraderClient(secret)
    assert grader.login()["return_code"] == 0
    die_at(moment)
    grader.put(header, body)


def enqueue_until_killed(user_id: int, queue_key: str, content: str, moment: int) -> None:
    """Be the web process that stores a submission with a file, until ``moment``."""
    file = upload("a.py", content.encode())
    new = new_submission(user_id=user_id, queue_key=queue_key, files=(file,))
    die_at(moment)
    submission_queue.enqueue(new)


def enqueue_in_transaction_until_killed(user_id: int, location: str, moment: int) -> None:
    """Be the web process of a host with ATOMIC_REQUESTS that sends an answer, until ``moment``."""
    settings.STORAGES["xqueue_bridge"]["OPTIONS"]["location"] = location
    new = new_submission(user_id=user_id, queue_key="key", files=(upload("a.py"),))
    die_at(moment)
    with transaction.atomic():
        submission_queue.enqueue(new)


def regrade_until_killed(moment: int, score: float) -> None:
    """Release regrades, pull and grade one of them, and cancel the regrade half-way."""
    from tests.regrading.factories import grade
    from xqueue_bridge.regrading import api as regrading
    from xqueue_bridge.regrading.models import Regrade
    from xqueue_bridge.submission_queue import queue

    die_at(moment)
    regrading.release_due()
    if pulled := queue.pull("python", None):
        grade(pulled.submission_id, score, "new")
    for pk in Regrade.objects.filter(finished_at=None).values_list("pk", flat=True):
        regrading.cancel(pk)
    regrading.end_finished()


def act_until_killed(moment: int, action: str, queue_name: str, size: int | None) -> None:
    """Carry out an action of operators on a queue until ``moment``, in batches of ``size``."""
    from xqueue_bridge.operations import api as operations
    from xqueue_bridge.operations.changes import CHANGES

    change = CHANGES[action]
    CHANGES[action] = replace(change, size=size or change.size)
    die_at(moment)
    operations.carry_out(operations.Order(action, queue_name, to="other"))


def repair_until_killed(moment: int) -> None:
    """Find and repair stuck answers until ``moment``."""
    die_at(moment)
    found = stuck_answers.find(older_than=timedelta(0))
    stuck_answers.repair([each.row_id for each in found.answers])
