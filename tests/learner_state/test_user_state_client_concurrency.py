"""Our user-state client under many writers: in threads of one process, and in processes."""

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


class Ours:
    def make_client(self, username=None):
        return DjangoXBlockUserStateClient()

    def make_user(self, name):
        return get_user_model().objects.create_user(name).get_username()


@pytest.mark.django_db(transaction=True)
class TestThreads(Ours, ConcurrentUserStateContract):
    """A thread for each."""

    def in_thread(self, job):
        try:
            job()
        finally:
            connections.close_all()


@pytest.mark.django_db(transaction=True)
class TestProcesses(Ours, ConcurrentUserStateContract):
    """A process for each."""

    def together(self, jobs):
        connections.close_all()  # a connection must not be shared with a child
        fork = multiprocessing.get_context("fork")
        faults = fork.Queue()
        children = [
            fork.Process(target=_in_process, args=(job, faults), daemon=True) for job in jobs
        ]
        for child in children:
            child.start()
        told = [faults.get(timeout=120) for _ in children]
        for child in children:
            child.join(timeout=120)
        assert [fault for fault in told if fault] == []
        assert [child.exitcode for child in children] == [0] * len(children)


def _in_process(job, faults):
    fault = ""
    try:
        job()
    except BaseException:
        fault = traceback.format_exc()
    finally:
        connections.close_all()
        faults.put(fault)


@pytest.fixture
def ada(transactional_db):
    return get_user_model().objects.create_user("ada")


def test_states_and_scores_at_once(ada):
    """SG18: states and scores that are written at the same time all survive."""
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


def test_first_writers_inside_transactions_of_their_own(ada):
    """SG19: who loses the race for a new row goes on inside the caller's transaction."""

    def write(n):
        with transaction.atomic():
            get_user_model().objects.count()
            DjangoXBlockUserStateClient().set("ada", BLOCK, {f"field {n}": n})

    jobs = [lambda n=n: write(n) for n in range(2)]
    for block in MANY_BLOCKS[:5]:
        in_threads(jobs)
        assert len(DjangoXBlockUserStateClient().get("ada", BLOCK).state) == 2, block
        StudentModule.objects.all().delete()


def test_sets_that_overlap(ada):
    """SG21: writers whose blocks overlap, some new and some old, neither deadlock nor lose."""
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


def test_eight_processes_write_one_row(ada):
    """SG20: each process adds fields to one row; none is lost, and each write has its version."""

    def write(writer):
        client = DjangoXBlockUserStateClient()
        for n in range(5):
            client.set("ada", BLOCK, {f"{writer} {n}": n})

    in_processes([lambda writer=writer: write(writer) for writer in range(8)])
    state = DjangoXBlockUserStateClient().get("ada", BLOCK).state
    assert state == {f"{writer} {n}": n for writer in range(8) for n in range(5)}
    versions = StudentModuleHistory.objects.values_list("version", flat=True)
    assert sorted(versions) == list(range(1, 41))


def test_processes_delete_and_write_fields_of_one_row(ada):
    """SG22: deleted fields are gone and written fields are there, whatever the order was."""
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
