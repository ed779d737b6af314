"""Faults of the infrastructure: after each of them, a submission ends in exactly one grade.

Each test lets a learner answer, injects a fault, removes it, and lets graders and sweeper go on.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.storage import FileSystemStorage
from django.db import connection, transaction
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from tests.db.test_connections import kill_connection
from tests.integration.clocks import TEN_MINUTES, host_clock_off
from tests.integration.conftest import ANSWER, grade_of, submit
from tests.integration.killable_processes import fork_server
from tests.integration.test_celery import NO_BROKER
from tests.moments import STEP
from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    PROBLEM,
    GraderClient,
    new_submission,
    stored_files,
    upload,
)
from tests.test_cache import DOWN
from xqueue_bridge.db.update import one_statement
from xqueue_bridge.exceptions import SendError
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import BlockLock, ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.tasks import sweep

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("sqlite_that_notices"),
]

JOBS = "tests.integration.subprocess_jobs"
KILLED = -9
STORED = {"return_code": 0, "content": ""}

Fault = Callable[[], AbstractContextManager[Any]]


@pytest.fixture(autouse=True)
def _options(settings) -> None:
    """Define the options, which the fork server passes on."""
    settings.XQUEUE_BRIDGE = {}


@pytest.fixture
def grader(secret) -> GraderClient:
    client = GraderClient(secret)
    client.login()
    return client


def go_on(grader: GraderClient) -> None:
    """End all waits; let the sweeper and the grader work until nothing is left to do."""
    for _ in range(4):
        past = timezone.now() - timedelta(seconds=5)
        BlockLock.objects.update(expires_at=past)
        ReceivedReply.objects.exclude(next_attempt_at=None).update(next_attempt_at=past)
        Submission.objects.filter(status__in=("leased", "waiting")).update(available_at=past)
        sweep()
        while pulled := grader.pull():
            grader.put(pulled.header, GOOD_REPLY)
    sweep()


def assert_one_grade(user_id: int) -> None:
    """Check that the learner has one grade, applied once, and that nothing waits."""
    assert grade_of(user_id) == 1
    state = learner_state.read_state(user_id, PROBLEM, COURSE)
    entry = state["correct_map"][ANSWER]
    assert (entry["queuestate"], entry["npoints"]) == (None, 1)
    assert list(ScoreLedger.objects.values_list("outcome", flat=True)) == ["applied"]
    replies = ReceivedReply.objects.filter(submission__user_id=user_id)
    assert list(replies.values_list("status", flat=True)) == ["applied"]
    assert not replies.exclude(next_attempt_at=None).exists()
    assert set(Submission.objects.values_list("status", flat=True)) == {"answered"}


@contextmanager
def connection_lost() -> Iterator[None]:
    """The database server closes the connection before the step."""
    kill_connection()
    yield


@contextmanager
def connection_lost_when_stored() -> Iterator[None]:
    """The connection is closed inside the transaction that stores a reply, the first time."""
    patch, store, calls = pytest.MonkeyPatch(), grader_replies.store_reply, []

    def store_after_the_end(*args: Any, **kwargs: Any) -> int:
        calls.append(args)
        if len(calls) == 1:
            kill_connection()
        return store(*args, **kwargs)

    patch.setattr(grader_replies, "store_reply", store_after_the_end)
    try:
        yield
    finally:
        patch.undo()


def cache_down() -> AbstractContextManager[Any]:
    return override_settings(CACHES=DOWN)


def clock_ahead() -> AbstractContextManager[Any]:
    return host_clock_off(TEN_MINUTES)


def clock_behind() -> AbstractContextManager[Any]:
    return host_clock_off(-TEN_MINUTES)


FAULTS: tuple[Fault, ...] = (connection_lost, cache_down, clock_ahead, clock_behind)
STEPS = ("login", "pull", "put", "sweep")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault_at_one_step(grader, fault, step):
    """C43, C67, C80, SG44: the step works in spite of the fault, and the learner has one grade."""
    user_id = submit("key")

    def during(name: str) -> AbstractContextManager[Any]:
        return fault() if name == step else nullcontext()

    with during("login"):
        assert grader.login()["return_code"] == 0
    with during("pull"):
        pulled = grader.pull()
    assert pulled
    with during("put"):
        assert grader.put(pulled.header, GOOD_REPLY) == STORED
    with during("sweep"):
        try:
            sweep()
        except ExceptionGroup:
            assert fault is connection_lost  # the sweep after it has a new connection
            connection.close_if_unusable_or_obsolete()
    go_on(grader)
    assert_one_grade(user_id)


def test_connection_lost_while_a_reply_is_stored(grader):
    """C80, C87: the transaction is repeated, and the reply is stored once."""
    user_id = submit("key")
    pulled = grader.pull()
    assert pulled
    with connection_lost_when_stored():
        assert grader.put(pulled.header, GOOD_REPLY) == STORED
    go_on(grader)
    assert_one_grade(user_id)


@pytest.mark.parametrize("fault", [clock_ahead, clock_behind], ids=lambda fault: fault.__name__)
def test_clock_of_the_host_that_sends(grader, fault):
    """C67: a host with a wrong clock sends; the submission is offered at once, and leased."""
    with fault():
        user_id = submit("key")
    pulled = grader.pull()
    assert pulled
    with fault():
        assert grader.pull() is None  # the lease has not ended
    assert grader.put(pulled.header, GOOD_REPLY) == STORED
    go_on(grader)
    assert_one_grade(user_id)


def test_broker_down(grader, use_broker):
    """C91, SG44: the result is acknowledged, and the sweeper applies it."""
    use_broker(NO_BROKER)
    user_id = submit("key")
    pulled = grader.pull()
    assert pulled
    assert grader.put(pulled.header, GOOD_REPLY) == STORED
    go_on(grader)
    assert_one_grade(user_id)


def test_storage_full(grader, monkeypatch):
    """C18: the learner is told, nothing is stored, and the next try is graded once."""

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = stored_files()
    user_id = get_user_model().objects.create(username="learner").pk
    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "_save", full)
        with pytest.raises((SendError, OSError)):
            submission_queue.enqueue(new_submission(user_id=user_id, files=(upload(),)))
    assert not Submission.objects.exists()
    assert stored_files() == before
    submit("key", user_id=user_id, files=(upload(),))
    go_on(grader)
    assert_one_grade(user_id)


def test_transaction_of_the_host_rolled_back(grader):
    """C20: a send that is rolled back is offered to no grader; the next one is graded once."""

    user_id = get_user_model().objects.create(username="learner").pk
    with transaction.atomic():
        submit("first", user_id=user_id)
        transaction.set_rollback(True)
    assert grader.pull() is None
    submit("second", user_id=user_id)
    go_on(grader)
    assert_one_grade(user_id)


def test_state_rolled_back_after_the_send(grader):
    """C115, SG41: a reply whose learner does not wait changes nothing; the next answer counts."""
    user_id = get_user_model().objects.create(username="learner").pk
    submission_queue.enqueue(new_submission(user_id=user_id, queue_key="lost"))
    pulled = grader.pull()
    assert pulled
    assert grader.put(pulled.header, GOOD_REPLY) == STORED
    assert grade_of(user_id) is None
    Submission.objects.update(created_at=F("created_at") - TEN_MINUTES)
    go_on(grader)
    assert grade_of(user_id) is None
    assert ReceivedReply.objects.get().status == "stale"
    submit("key", user_id=user_id)
    go_on(grader)
    assert grade_of(user_id) == 1
    assert list(ScoreLedger.objects.values_list("outcome", flat=True)) == ["stale", "applied"]


def test_web_process_killed_at_each_statement_of_a_result(grader, secret):
    """C80, C87, SG43: after each kill the grader sends the result again; it is applied once."""
    with fork_server() as processes:
        moment, ends = 1, [KILLED]
        while ends[-1] == KILLED:
            user_id = submit(f"key {moment}")
            pulled = grader.pull()
            assert pulled
            job = {"secret": secret, "header": pulled.header, "body": GOOD_REPLY}
            ends.append(processes.run(f"{JOBS}.post_result_until_killed", moment=moment, **job))
            assert grader.put(pulled.header, GOOD_REPLY) == STORED
            go_on(grader)
            assert_one_grade(user_id)
            for model in (ScoreLedger, ReceivedReply, Submission):
                model.objects.all().delete()
            moment += STEP
    assert ends[-1] == 0
    assert moment > (5 if one_statement() else 6)


def test_web_process_killed_at_each_statement_of_a_send():
    """C20, SG43: each kill leaves a submission as a whole or not at all."""
    user_id = get_user_model().objects.create(username="learner").pk
    with fork_server() as processes:
        moment, ends = 0, [KILLED]
        while ends[-1] == KILLED:
            moment += 1
            job = {"user_id": user_id, "queue_key": f"key {moment}", "content": "print(1)"}
            ends.append(processes.run(f"{JOBS}.enqueue_until_killed", moment=moment, **job))
            for submission in Submission.objects.filter(queue_key=job["queue_key"]):
                (file,) = submission.content.stored_files()
                assert file.name == "a.py"
    assert ends[-1] == 0
    assert Submission.objects.filter(queue_key=f"key {moment}").exists()
    assert len(ends) > 4
