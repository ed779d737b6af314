"""Concurrent graders: no submission is delivered twice or lost, no valid result rejected."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from tests.integration.conftest import grade_of, submit
from tests.submission_queue.factories import GraderClient
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db(transaction=True)

SUBMISSIONS = 40
#: Seconds after which a grader that still waits fails the test.
PATIENCE = 60


def in_threads(count: int, work) -> list:
    """Run ``work(number)`` in ``count`` threads that start together; return their results."""
    start = threading.Barrier(count)

    def run(number: int):
        try:
            start.wait(timeout=30)
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.parametrize("graders", [1, 4, 16])
def test_graders_share_a_queue_without_duplicates(graders, secret):
    """C72, C73: 1, 4 or 16 graders pull while the queue fills; none is duplicated or lost."""
    learners: list[int] = []

    def grade(number: int) -> tuple[list[int], list[dict]]:
        client = GraderClient(secret)
        client.login()
        pulled, refused = [], []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            handed = client.pull()
            if handed is None:
                if len(learners) == SUBMISSIONS and not queue.queue_length("python"):
                    break
                time.sleep(0.01)
                continue
            pulled.append(handed.submission_id)
            response = client.put(handed.header)
            if response["return_code"]:
                refused.append(response)
        return pulled, refused

    def work(number: int):
        if number < graders:
            return grade(number)
        for n in range(SUBMISSIONS):
            learners.append(submit(f"key {n}"))
        return [], []

    outcomes = in_threads(graders + 1, work)
    pulled = [submission_id for ids, _ in outcomes for submission_id in ids]
    assert len(pulled) == len(set(pulled)) == SUBMISSIONS
    assert [response for _, refused in outcomes for response in refused] == []
    assert set(Submission.objects.values_list("status", flat=True)) == {Status.ANSWERED}
    assert [grade_of(learner) for learner in learners] == [1] * SUBMISSIONS
    assert set(ReceivedReply.objects.values_list("status", flat=True)) == {"applied"}


@pytest.mark.parametrize(("graders", "submissions"), [(16, 4), (4, 16), (16, 16)])
def test_concurrent_pulls_get_different_submissions(graders, submissions, secret):
    """C73: K concurrent pulls of M submissions return min(K, M) different ones."""
    for number in range(submissions):
        submit(f"key {number}")
    client_ids = Submission.objects.count()
    assert client_ids == submissions

    def pull_once(number: int):
        handed = queue.pull("python", grader_id=None)
        return handed and handed.submission_id

    ids = [each for each in in_threads(graders, pull_once) if each]
    assert len(ids) == len(set(ids)) == min(graders, submissions)


def test_equal_concurrent_results_are_stored_once(secret):
    """C87, C89: a result posted by eight threads at once is stored once; all get success."""
    learner = submit("key")
    clients = [GraderClient(secret) for _ in range(8)]
    for client in clients:
        client.login()
    handed = clients[0].pull()
    responses = in_threads(8, lambda number: clients[number].put(handed.header))
    assert responses == [{"return_code": 0, "content": ""}] * 8
    assert ReceivedReply.objects.count() == 1
    assert grade_of(learner) == 1
    assert StudentModuleHistory.objects.filter(reason="reply").count() == 1


def test_of_different_concurrent_results_one_is_stored(secret):
    """C88, C89: of eight different results one is stored; the other seven are rejected."""
    submit("key")
    clients = [GraderClient(secret) for _ in range(8)]
    for client in clients:
        client.login()
    handed = clients[0].pull()

    def put(number: int):
        body = json.dumps({"correct": True, "score": number / 10, "msg": "x"})
        return clients[number].put(handed.header, body)["content"]

    responses = sorted(in_threads(8, put))
    assert responses == ["", *["Submission already has a result"] * 7]
    assert ReceivedReply.objects.count() == 1


def test_each_submission_gets_one_grade_although_graders_crash(secret, settings):
    """C72, C74, C76: although leases expire during grading, each submission gets one grade."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 100}
    learners = [submit(f"key {number}") for number in range(20)]
    dice = random.Random(7)

    def grade(number: int) -> list[str]:
        client = GraderClient(secret)
        client.login()
        refused = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            handed = client.pull()
            if handed is None:
                if not Submission.objects.filter(available_at__isnull=False).exists():
                    break
                continue
            if dice.random() < 0.3:
                # The grader crashes here; its lease expires.
                Submission.objects.filter(pk=handed.submission_id, status=Status.LEASED).update(
                    available_at=timezone.now()
                )
            else:
                refused.append(client.put(handed.header)["content"])
        return refused

    outcomes = in_threads(4, grade)
    assert {text for texts in outcomes for text in texts} == {""}
    assert [grade_of(learner) for learner in learners] == [1] * 20
    assert ReceivedReply.objects.count() == 20
