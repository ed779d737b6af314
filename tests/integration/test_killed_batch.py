"""A process that applies replies in batches is killed at each moment; each is applied once."""

from __future__ import annotations

import signal

from django.utils import timezone

from tests.grader_replies.factories import make_learner, make_reply, make_state, make_submission
from tests.integration.killable_processes import fork_server
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.scores.models import ScoreLedger

JOB = "tests.integration.subprocess_jobs.apply_due_until_killed"
LEARNERS = 3
KILLED = -signal.SIGKILL


def test_killed_batches_are_applied_once(transactional_db, settings):
    """C116, SG43: a batch whose process is killed is stored as a whole or not at all."""
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}
    ends = [KILLED]
    with fork_server() as processes:
        while ends[-1] == KILLED:
            ReceivedReply.objects.update(next_attempt_at=None)  # those of the processes before
            for n in range(LEARNERS):
                user_id = make_learner(f"learner {len(ends)} {n}")
                make_state(user_id)
                make_reply(make_submission(user_id))
            ends.append(processes.run(JOB, moment=len(ends)))
            applied = StudentModuleHistory.objects.filter(reason="reply").count()
            assert applied % LEARNERS == 0
    assert ends[-1] == 0
    assert len(ends) > 10
    replies = ReceivedReply.objects.all()
    assert set(replies.values_list("status", flat=True)) == {"pending", "applied"}
    replies.filter(status="pending").update(next_attempt_at=timezone.now())
    grader_replies.apply_due(limit=1000)
    total = replies.count()
    assert replies.filter(status="applied", next_attempt_at=None).count() == total
    assert StudentModuleHistory.objects.filter(reason="reply").count() == total
    assert ScoreLedger.objects.filter(outcome="applied").count() == total
    assert StudentModule.objects.filter(grade=1).count() == total
