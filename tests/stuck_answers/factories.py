"""Factories of stuck answers, one for each kind, as a restored database has them."""

from __future__ import annotations

import json

from django.db.models import F

from tests.grader_replies.factories import make_learner, waiting_state
from tests.regrading.factories import ANSWER, graded, result, start, submit
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.regrading.models import RegradeItem
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status


def restore_state(user_id: int, queue_key: str) -> None:
    """Write an older state without a signal, as a restored database has it."""
    state = json.dumps(waiting_state(**{ANSWER: queue_key}))
    StudentModule.objects.filter(student_id=user_id).update(state=state)


def lost(name: str = "ada") -> int:
    user_id = make_learner(name)
    pk = submit(user_id)
    Submission.objects.filter(pk=pk).delete()
    return user_id


def no_reply(name: str = "ada") -> int:
    return _finished(name, Status.ANSWERED)


def superseded(name: str = "ada") -> int:
    return _finished(name, Status.SUPERSEDED)


def failed(name: str = "ada") -> int:
    return _finished(name, Status.FAILED)


def _finished(name: str, status: str) -> int:
    user_id = make_learner(name)
    Submission.objects.filter(pk=submit(user_id)).update(
        status=status, available_at=None, due_at=None, finished_at=F("created_at")
    )
    return user_id


def not_applied(name: str = "ada") -> int:
    """The state was restored after its reply had been applied."""
    user_id, pk = graded(name)
    restore_state(user_id, Submission.objects.get(pk=pk).queue_key)
    return user_id


def dead_reply(name: str = "ada") -> int:
    user_id = not_applied(name)
    ReceivedReply.objects.filter(submission__user_id=user_id).update(status="dead")
    return user_id


def failed_with_late_reply(name: str = "ada") -> int:
    user_id = failed(name)
    reply = grader_replies.parse_reply(result(1))
    (pk,) = Submission.objects.filter(user_id=user_id).values_list("pk", flat=True)
    grader_replies.store_late_reply(pk, "put_result", result(1), reply=reply)
    return user_id


def regrade_ended(name: str = "ada") -> int:
    """The state was restored that waits for a regrade which is cancelled since."""
    user_id, _ = graded(name)
    job = start(keep_feedback=False)
    regrading.release_due()
    item = RegradeItem.objects.get(regrade=job)
    regrading.cancel(job.pk)
    regrading.end_finished()
    restore_state(user_id, item.queue_key)
    return user_id
