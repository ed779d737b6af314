"""Paused queues: no grader pulls, results count, and learners and operators see it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db import connection, transaction
from django.utils import timezone

from tests.commands import json_of
from tests.submission_queue.factories import GOOD_REPLY, PROBLEM, make_grader, new_submission
from xqueue_bridge.submission_queue import api, queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.paused_queues import KEEP, paused_queues
from xqueue_bridge.submission_queue.queue_models import QueuePause

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


def test_pause_and_its_end_change_no_other_queue() -> None:
    for name in ("python", "java"):
        api.pause_queue(name)
    api.resume_queue("python")
    assert paused_queues().keys() == {"java"}
    api.resume_queue("java")
    api.pause_queue("python")
    assert paused_queues().keys() == {"python"}


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
    [printed] = json_of("xqueue_bridge_queue", *arguments)
    return printed


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


def expire(**before: timedelta) -> None:
    """Let the lease of the only submission have ended, and set its times to so long ago."""
    now = timezone.now()
    times = {name: now - ago for name, ago in before.items()}
    Submission.objects.update(available_at=now, due_at=now, **times)


def paused_for(hours: float, ended: float) -> None:
    """Store a pause of so many hours that ended so many hours ago."""
    end = timezone.now() - timedelta(hours=ended)
    begin = end - timedelta(hours=hours)
    QueuePause.objects.create(queue_name="python", paused_at=begin, resumed_at=end)


def test_resumed_queue_stores_its_pause_once(django_assert_num_queries) -> None:
    api.pause_queue("python")
    QueuePause.objects.create(
        queue_name="python",
        paused_at=timezone.now() - 2 * KEEP,
        resumed_at=timezone.now() - KEEP - timedelta(days=1),
    )
    # The queue, the old pauses, the new one, the queue; BEGIN and COMMIT.
    with django_assert_num_queries(6):
        assert api.resume_queue("python")
    assert not api.resume_queue("python")
    [pause] = QueuePause.objects.all()
    assert pause.queue_name == "python"
    assert pause.paused_at <= pause.resumed_at
    api.pause_queue("python")
    api.resume_queue("python")
    assert QueuePause.objects.count() == 2


def test_age_of_a_submission_does_not_count_while_its_queue_is_paused() -> None:
    """C77: two days in a queue that is paused; the sweeper and a pull leave it as it is."""
    api.enqueue(new_submission())
    assert pulled()
    api.pause_queue("python")
    expire(retry_until=timedelta(days=1))
    assert api.fail_exhausted() == 0
    assert not pulled()
    assert Submission.objects.get().status == "leased"


@pytest.mark.parametrize("process", ["pull", "sweep"])
def test_time_of_a_pause_does_not_count_for_the_maximum_age(process: str) -> None:
    """C77: 24 hours of age are allowed. 30 hours old with 7 hours of pauses is young enough."""
    api.enqueue(new_submission())
    assert pulled()
    paused_for(5, ended=10)
    paused_for(2, ended=2)
    # It waited 30 hours: its time was over 6 hours ago.
    expire(retry_until=timedelta(hours=6))
    assert api.fail_exhausted() == 0
    if process == "pull":
        assert pulled()
        assert Submission.objects.get().deliveries == 2
    # An hour and a half later it is too old, because only 7 hours do not count.
    expire(retry_until=timedelta(hours=7.5))
    assert not pulled() if process == "pull" else api.fail_exhausted() == 1
    assert Submission.objects.get().status == "failed"


def test_pause_before_a_submission_was_sent_does_not_make_it_younger() -> None:
    api.enqueue(new_submission())
    assert pulled()
    paused_for(5, ended=30)
    expire(retry_until=timedelta(hours=1))
    assert not pulled()
    assert Submission.objects.get().status == "failed"


def test_maximum_of_deliveries_ends_a_submission_during_a_pause_too(settings) -> None:
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    api.enqueue(new_submission())
    assert pulled()
    api.pause_queue("python")
    expire(retry_until=timedelta(days=1))
    assert api.fail_exhausted() == 1


def test_submission_that_is_moved_has_the_maximum_age_of_its_new_queue(settings) -> None:
    settings.XQUEUE_BRIDGE = {"QUEUES": {"java": {"MAX_AGE_SECONDS": 3 * 86_400}}}
    api.enqueue(new_submission())
    pk = Submission.objects.get().pk
    with transaction.atomic():
        assert api.move_submissions([pk], "java") == 1
    assert Submission.objects.get().retry_until > timezone.now() + timedelta(days=2)
