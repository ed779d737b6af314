"""A process that releases, grades and cancels a regrade is killed at each moment."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from tests.integration.killable_processes import fork_server
from tests.moments import STEP
from tests.regrading.factories import graded, points_of, start, state_of
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.regrading.models import Regrade, RegradeItem
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission

JOB = "tests.integration.subprocess_jobs.regrade_until_killed"
KILLED = -signal.SIGKILL
#: The moments are tried in longer steps, because each needs a regrade of its own.
LONG_STEP = 9 * STEP


@pytest.mark.parametrize("keep_feedback", [True, False])
def test_killed_regrade_leaves_each_learner_with_one_of_two_grades(
    transactional_db, settings, keep_feedback
):
    """The grade is the old one with its feedback, or the new one with its own; none waits."""
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}
    ends, moment = [KILLED], 1
    with fork_server() as processes:
        while ends[-1] == KILLED:
            begin = timezone.now()
            users = [graded(f"learner {moment} {n}", 1)[0] for n in range(3)]
            start(keep_feedback=keep_feedback, since=begin)
            Regrade.objects.filter(finished_at=None).update(
                released_until=F("created_at") - timedelta(seconds=1)
            )
            ends.append(processes.run(JOB, moment=moment, score=0))
            moment += LONG_STEP
            finish_what_was_killed()
            for user_id in users:
                entry = state_of(user_id)
                assert entry["queuestate"] is None
                assert (entry["msg"], points_of(user_id)) in (("<p>old</p>", 1), ("<p>new</p>", 0))
    assert ends[-1] == 0
    assert moment > 6 * 9
    assert not RegradeItem.objects.filter(status__in=("planned", "open")).exists()
    assert RegradeItem.objects.filter(status="down").count() == sum(
        entry == "<p>new</p>" for entry in all_messages()
    )


def all_messages() -> list[str]:
    users = RegradeItem.objects.values_list("user_id", flat=True)
    return [state_of(user_id)["msg"] for user_id in users]


def finish_what_was_killed() -> None:
    """Do what the next process would do: apply, cancel, end."""
    grader_replies.apply_due()
    for pk in Regrade.objects.filter(finished_at=None).values_list("pk", flat=True):
        regrading.cancel(pk)
    regrading.end_finished()
    assert not Submission.objects.filter(available_at__isnull=False).exists()
    assert queue.pull("python", None) is None
