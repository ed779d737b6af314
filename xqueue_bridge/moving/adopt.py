"""Adoption of another queue's submissions; each is enqueued once, also if it is tried again."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q

from xqueue_bridge.data import NewSubmission, Target
from xqueue_bridge.exceptions import InvalidField, XQueueBridgeError
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.protocol.fields import check_name
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.queue import is_known_queue

#: Texts in grader_reply of another queue's row that is claimed, and that is enqueued here.
CLAIMED, IMPORTED = "xqueue_bridge: importing", "xqueue_bridge: imported"
#: A claim that is older was made by a run that crashed; the next run continues it.
CRASHED = timedelta(minutes=10)


class NotImportable(XQueueBridgeError):
    """A row does not say which learner, block or answer it belongs to, or may not be imported."""


def check_importable(target: Target, queue_name: str) -> str:
    """Return the queue's name without the white space around it.

    Raise NotImportable if the learner is retired or the bridge refuses the queue.
    """
    try:
        name = check_name(queue_name, "its queue")
    except InvalidField as exc:
        raise NotImportable(f"{exc.field} {exc.reason}") from None
    if not is_known_queue(name):
        raise NotImportable("its queue is not in QUEUES, and REJECT_UNKNOWN_QUEUES is on")
    learner = learner_state.find_learner_at(target.user_id, target.course_key, target.usage_key)
    if learner.is_retired:
        raise NotImportable("its learner is retired")
    return name


def is_adopted(target: Target, queue_key: str, *, or_answered: bool = False) -> bool:
    """Return whether an earlier run has enqueued this submission, or stored its result."""
    of_legacy_server = Q(transport=Submission.Transport.LEGACY)
    rows = Submission.objects.filter(
        Q() if or_answered else ~of_legacy_server,
        user_id=target.user_id,
        usage_key=target.usage_key,
        queue_key=queue_key,
    )
    # Compared again here: MySQL and MariaDB ignore spaces at the end.
    return queue_key in rows.values_list("queue_key", flat=True)


def adopt(new: NewSubmission) -> None:
    """Enqueue a submission that is claimed, unless an earlier run that crashed has done it."""
    if not is_adopted(new.target, new.queue_key):
        submission_queue.enqueue(new, is_limited=False)
