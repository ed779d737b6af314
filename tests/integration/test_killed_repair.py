"""A process that repairs stuck answers is killed at each moment."""

from __future__ import annotations

import signal
from datetime import timedelta

from tests.integration.killable_processes import fork_server
from tests.moments import STEP
from tests.regrading.factories import ANSWER, points_of
from tests.stuck_answers.factories import dead_reply, failed_with_late_reply, lost, no_reply
from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module
from xqueue_bridge.stuck_answers import api as stuck_answers
from xqueue_bridge.submission_queue import queue

JOB = "tests.integration.subprocess_jobs.repair_until_killed"
KILLED = -signal.SIGKILL
#: The moments are tried in longer steps, because each needs stuck answers of its own.
LONG_STEP = 17 * STEP


def test_killed_repair_leaves_one_outcome_after_the_next(transactional_db, settings):
    """The attempt is given back once, a stored reply is applied, and one is offered once."""
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}
    ends, moment = [KILLED], 1
    with fork_server() as processes:
        while ends[-1] == KILLED:
            ended = lost(f"lost {moment}")
            applied = [dead_reply(f"dead {moment}"), failed_with_late_reply(f"late {moment}")]
            offered = no_reply(f"none {moment}")
            ends.append(processes.run(JOB, moment=moment))
            moment += LONG_STEP
            grader_replies.apply_due()
            found = stuck_answers.find(COURSE, older_than=timedelta(0))
            stuck_answers.repair([each.row_id for each in found.answers])
            assert not stuck_answers.find(COURSE, older_than=timedelta(0)).answers
            state = student_module.read_state(ended, PROBLEM, COURSE)
            assert state["attempts"] == 0
            assert state["correct_map"][ANSWER]["correctness"] == "incomplete"
            assert [points_of(user_id) for user_id in applied] == [1, 1]
            assert student_module.read_state(offered, PROBLEM, COURSE)["attempts"] == 1
            assert queue.pull("python", None)
            assert queue.pull("python", None) is None
    assert ends[-1] == 0
    assert moment > 3 * 17
    assert not ReceivedReply.objects.filter(status="pending").exists()
