"""Paused queues: no grader pulls, results count, and learners and operators see it."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.submission_queue.factories import GOOD_REPLY, PROBLEM, make_grader, new_submission
from xqueue_bridge.submission_queue import api, queue
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)


def pulled(queue_name: str = "python") -> bool:
    return queue.pull(queue_name, None) is not None


def test_graders_find_a_paused_queue_empty_and_other_queues_not() -> None:
    grader = make_grader("python", "java")
    for name in ("python", "java"):
        api.enqueue(new_submission(name))
    assert api.pause_queue("python")
    answer = grader.ask("get_submission", queue_name="python")
    assert answer == {"return_code": 1, "content": "Queue 'python' is empty"}
    assert grader.pull("java")
    assert api.resume_queue("python")
    assert grader.pull()


def test_pausing_or_resuming_twice_changes_nothing() -> None:
    assert [api.pause_queue("python"), api.pause_queue(" python ")] == [True, False]
    assert [api.resume_queue("python"), api.resume_queue("python")] == [True, False]
    assert not api.resume_queue("unknown")


def test_result_of_a_leased_submission_counts_while_the_queue_is_paused() -> None:
    grader = make_grader()
    api.enqueue(new_submission())
    lease = grader.pull()
    api.pause_queue("python")
    assert grader.put(lease.header, GOOD_REPLY)["return_code"] == 0
    assert Submission.objects.get().status == "answered"


def test_pause_costs_a_pull_no_statement(django_assert_num_queries) -> None:
    """An empty queue, a paused one, and a lease: the statements that a pull has anyway."""
    leases = 1 if connection.vendor == "postgresql" else 3
    with django_assert_num_queries(1):
        assert not pulled()
    api.enqueue(new_submission())
    api.pause_queue("python")
    with django_assert_num_queries(1):
        assert not pulled()
    api.resume_queue("python")
    with django_assert_num_queries(leases):
        assert pulled()


def test_paused_queue_is_in_the_statistics_even_if_it_is_empty() -> None:
    assert api.queue_stats() == []
    api.pause_queue("python")
    assert [(each.queue_name, each.is_paused) for each in api.queue_stats()] == [("python", True)]


def test_learner_whose_answer_waits_is_told_of_the_pause_and_one_in_grading_is_not() -> None:
    make_grader()
    for user_id in (7, 8):
        api.enqueue(new_submission(user_id=user_id, queue_key=str(user_id)))
    assert pulled()
    api.pause_queue("python")
    [held], [waits] = (api.queue_positions(user_id, PROBLEM) for user_id in (7, 8))
    assert (held.position, held.is_paused) == (None, False)
    assert (waits.position, waits.is_paused) == (1, True)


def run(*arguments: str) -> dict[str, object]:
    out = StringIO()
    call_command("xqueue_bridge_queue", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_command_pauses_and_resumes() -> None:
    api.enqueue(new_submission())
    assert run("pause", "python")["changed"] == 1
    assert not pulled()
    assert run("pause", "python")["changed"] == 0
    assert run("resume", "python")["changed"] == 1
    assert pulled()


def test_command_refuses_a_name_that_no_queue_can_have() -> None:
    with pytest.raises(CommandError, match="queue_name"):
        run("pause", " ")
