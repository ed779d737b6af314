"""Graders that are killed with SIGKILL under load: no submission is lost, none applied twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from tests.grader.test_run import eventually, started
from tests.integration.conftest import grade_of, submit
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)

#: ``XQUEUE_BRIDGE_KILLS=50`` and 1000 submissions are the run before a release.
KILLS = int(os.environ.get("XQUEUE_BRIDGE_KILLS", "3"))
SUBMISSIONS = 20 * KILLS
LEASE_SECONDS = 300


def test_killed_graders_lose_and_double_nothing(live_server, tmp_path: Path, settings) -> None:
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1000, "LEASE_SECONDS": LEASE_SECONDS}
    secret = submission_queue.create_grader("watcher", ["python"])
    learners = [submit(f"key {number}") for number in range(SUBMISSIONS)]
    dice = random.Random(5)

    def start() -> subprocess.Popen[bytes]:
        return started(live_server, secret, tmp_path, seconds=0.02, workers=1)

    process = start()
    try:
        for kill in range(1, KILLS + 1):
            # Killed while it grades: after some of its results, at any point of its loop.
            target = SUBMISSIONS * kill // (KILLS + 1)
            assert eventually(lambda target=target: answered() >= target, 120)
            time.sleep(dice.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            process.wait()
            end_leases()
            process = start()
        assert eventually(lambda: end_leases(older_than=5) or answered() == SUBMISSIONS, 120)
        assert eventually(lambda: [grade_of(each) for each in learners] == [1] * SUBMISSIONS, 120)
    finally:
        process.kill()
        process.wait()
    assert ReceivedReply.objects.count() == SUBMISSIONS
    assert set(ReceivedReply.objects.values_list("status", flat=True)) == {"applied"}


def answered() -> int:
    return Submission.objects.filter(status="answered").count()


def end_leases(older_than: float = 0) -> None:
    """End the leases of killed processes, as their time would.

    The server can lease a submission to a process that was killed before it had the response.
    """
    began_before = timezone.now() - timedelta(seconds=older_than)
    leased = Submission.objects.filter(
        status="leased", available_at__lt=began_before + timedelta(seconds=LEASE_SECONDS)
    )
    leased.update(available_at=timezone.now())
