"""Graders of a legacy XQueue and of the bridge go on while its rows are imported."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest
from django.db import connections
from django.utils import timezone

from tests.integration.conftest import eventually, grade_of
from tests.moving.legacy_server import ALIAS, HOUR, LegacyGrader, make_row, rows
from tests.submission_queue.factories import GOOD_REPLY, GraderClient
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.moving import legacy_xqueue
from xqueue_bridge.moving.legacy_table import LegacyTable
from xqueue_bridge.moving.legacy_xqueue import Plan
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission

LEARNERS = 40
PATIENCE = 60


def grade_there(stop: threading.Event, grader: LegacyGrader, seconds: float) -> None:
    """Pull and answer with the server's steps until nothing is left or the test ends."""
    while not stop.is_set():
        read = grader.read_oldest()
        if read is None:
            break
        stop.wait(random.random() * seconds)  # between reading and saving, without a lock
        pullkey = grader.save_pulled(read)
        stop.wait(random.random() * seconds)
        grader.put_result(read.pk, pullkey)
    connections.close_all()


def grade_here(stop: threading.Event, secret: str) -> None:
    client = GraderClient(secret)
    client.login()
    while not stop.is_set():
        if pulled := client.pull():
            client.put(pulled.header)
        else:
            stop.wait(0.02)
    connections.close_all()


@pytest.mark.django_db(transaction=True, databases=["default", ALIAS])
def test_graders_of_both_sides_go_on_during_the_import(legacy_table, learner):
    """C28, C131: waiting, leased and answered rows; every one ends in exactly one grade."""
    learners = [learner() for _ in range(LEARNERS)]
    leased, answered, *waiting = learners
    make_row(leased, pull_time=timezone.now() - HOUR, pullkey="k")
    make_row(answered, grader_reply=GOOD_REPLY, pull_time=timezone.now() - HOUR)
    for user_id in waiting:
        make_row(user_id)
    stop = threading.Event()
    secret = submission_queue.create_grader("watcher", ["python"])
    graders = [LegacyGrader(), LegacyGrader()]
    threads = [threading.Thread(target=grade_here, args=(stop, secret))]
    for grader, seconds in zip(graders, (0.05, 0.005), strict=True):
        threads.append(threading.Thread(target=grade_there, args=(stop, grader, seconds)))
    for thread in threads:
        thread.start()
    done: Counter[str] = Counter()
    plan = Plan(limit=4)
    deadline = time.monotonic() + PATIENCE
    while rows().filter(retired=False).exists() and time.monotonic() < deadline:
        done += legacy_xqueue.import_rows(LegacyTable(ALIAS), plan)
        # What a grader has pulled and lost is offered again after its lease.
        lost = rows().filter(retired=False, grader_reply="", pull_time__lt=timezone.now())
        if not any(thread.is_alive() for thread in threads[1:]):
            lost.update(pull_time=timezone.now() - HOUR)
    assert eventually(lambda: all(grade_of(each) == 1 for each in learners), PATIENCE)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    applied = ReceivedReply.objects.filter(status="applied")
    graded = Counter(applied.values_list("submission__user_id", flat=True))
    assert graded == Counter(learners)
    assert done["imported"] == Submission.objects.filter(transport="table").count() > 0
    assert done["results stored"] == 1
