"""The bridge's user-state client with concurrent writers, in threads and in processes."""

from __future__ import annotations

import multiprocessing
import traceback

import pytest
from django.contrib.auth import get_user_model
from django.db import connections, transaction

from tests.learner_state.test_user_state import in_threads
from tests.processes import in_processes
from xqueue_bridge import api
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient
from xqueue_bridge.testing.user_state import ConcurrentUserStateContract
from xqueue_bridge.testing.user_state.base import BLOCK, COURSE
from xqueue_bridge.testing.user_state.concurrency import MANY_BLOCKS


class BridgeClientMixin:
    def make_client(self, username=None):
        return DjangoXBlockUserStateClient()

    def make_user(self, name):
        return get_user_model().objects.create_user(name).get_username()


@pytest.mark.django_db(transaction=True)
class TestThreads(BridgeClientMixin, ConcurrentUserStateContract):
    """Run each writer in a thread."""

    def in_thread(self, job):
        try:
            job()
        finally:
            connections.close_all()


@pytest.mark.django_db(transaction=True)
class TestProcesses(BridgeClientMixin, ConcurrentUserStateContract):
    """Run each writer in a process."""

    def together(self, jobs):
        connections.close_all()  # a connection must not be shared with a child
        fork = multiprocessing.get_context("fork")
        faults = fork.Queue()
        children = [
            fork.Process(target=_in_process, args=(job, faults), daemon=True) for job in jobs
        ]
        for child in children:
            child.start()
        errors = [faults.get(timeout=120) for _ in children]
        for child in children:
            child.join(timeout=120)
        assert [error for error in errors if error] == []
        assert [child.exitcode for child in children] == [0] * len(children)


def _in_process(job, faults):
    error = ""
    try:
        job()
    except BaseException:
        error = traceback.format_exc()
    finally:
        connections.close_all()
        faults.put(error)


@pytest.fixture
def ada(transactional_db):
    return get_user_model().objects.create_user("ada")


def test_concurrent_states_and_scores_are_all_stored(ada):
    """SG18: store all states and scores that are written at the same time."""
    client = DjangoXBlockUserStateClient()

    def write(writer):
        for n in range(8):
            client.set("ada", BLOCK, {f"{writer} {n}": n})

    def score():
        for n in range(8):
            api.set_score(ada.pk, COURSE, BLOCK, n, 8)

    in_threads([lambda: write(0), score, lambda: write(1), score])
    assert client.get("ada", BLOCK).state == {f"{w} {n}": n for w in (0, 1) for n in range(8)}
    assert api.read_score(ada.pk, BLOCK, COURSE) == api.RawScore(7, 8)


def test_first_writers_in_callers_transactions_store_all_fields(ada):
    """SG19: continue the caller's transaction, if another writer has inserted the row."""

    def write(n):
        with transaction.atomic():
            get_user_model().objects.count()
            DjangoXBlockUserStateClient().set("ada", BLOCK, {f"field {n}": n})

    jobs = [lambda n=n: write(n) for n in range(2)]
    for block in MANY_BLOCKS[:5]:
        in_threads(jobs)
        assert len(DjangoXBlockUserStateClient().get("ada", BLOCK).state) == 2, block
        StudentModule.objects.all().delete()


def test_overlapping_sets_neither_deadlock_nor_lose_a_write(ada):
    """SG21: write overlapping sets of blocks, some new and some with rows."""
    client = DjangoXBlockUserStateClient()
    client.set_many("ada", {block: {"old": 1} for block in MANY_BLOCKS[::3]})
    shares = [MANY_BLOCKS[n : n + 200][:: 1 if n % 20 else -1] for n in range(0, 100, 10)]

    def write(n):
        client.set_many("ada", {block: {f"share {n}": n} for block in shares[n]})

    in_threads([lambda n=n: write(n) for n in range(len(shares))])
    for n, share in enumerate(shares):
        found = list(client.get_many("ada", share))
        assert len(found) == 200
        assert all(state.state[f"share {n}"] == n for state in found)


def test_writes_of_eight_processes_to_one_row_are_all_stored(ada):
    """SG20: store the fields of each process, and one version for each write."""

    def write(writer):
        client = DjangoXBlockUserStateClient()
        for n in range(5):
            client.set("ada", BLOCK, {f"{writer} {n}": n})

    in_processes([lambda writer=writer: write(writer) for writer in range(8)])
    state = DjangoXBlockUserStateClient().get("ada", BLOCK).state
    assert state == {f"{writer} {n}": n for writer in range(8) for n in range(5)}
    versions = StudentModuleHistory.objects.values_list("version", flat=True)
    assert sorted(versions) == list(range(1, 41))


def test_concurrent_deletes_and_writes_of_one_row_are_all_applied(ada):
    """SG22: remove the deleted fields and store the written ones, in any order."""
    client = DjangoXBlockUserStateClient()
    client.set("ada", BLOCK, {f"old {n}": n for n in range(8)})

    def delete(n):
        DjangoXBlockUserStateClient().delete("ada", BLOCK, fields=[f"old {n}"])

    def write(n):
        DjangoXBlockUserStateClient().set("ada", BLOCK, {f"new {n}": n})

    in_processes([lambda n=n, job=job: job(n) for n in range(4) for job in (delete, write)])
    kept = {f"old {n}": n for n in range(4, 8)}
    assert client.get("ada", BLOCK).state == kept | {f"new {n}": n for n in range(4)}
    assert StudentModule.objects.get().version == 9
