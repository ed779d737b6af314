"""The states of a submission and the allowed transitions.

    enqueue ──> WAITING ──pull──> LEASED ──put_result──> ANSWERED
                  │  ^              │ ^
          a newer │  │ requests     │ └─ pulled again after the lease has expired, or
           answer │  │ crossed      │    early, because the reply was refused
                  v  │              └──too many deliveries──> FAILED ──requeue──> WAITING
               SUPERSEDED
                  ^  │
    its state was │  │ a late result from a grader that held the lease
        deleted   │  └──> ANSWERED
                  └── WAITING, LEASED

    WAITING ──an operator ends the grading──> FAILED

    a callback whose key no state waits for ──> UNMATCHED ──its reply was applied──> ANSWERED
    ANSWERED or UNMATCHED, but its reply is not stored and the learner's state waits ──> WAITING
    the learner was retired: all but ANSWERED ──> RETIRED

``available_at`` is the time from which graders can pull the submission: the time of arrival while
WAITING, the end of the lease while LEASED, NULL in the finished states. ``due_at`` is the time that
orders the work index, NULL in the finished states: see ``priorities.py``.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.clock import database_now


class Status(models.TextChoices):
    """The state of a submission."""

    WAITING = "waiting", _("waiting")
    LEASED = "leased", _("leased")
    ANSWERED = "answered", _("answered")
    FAILED = "failed", _("failed")
    SUPERSEDED = "superseded", _("superseded")
    UNMATCHED = "unmatched", _("unmatched")
    RETIRED = "retired", _("retired")


#: Status -> allowed next states. ``queue.py`` makes each transition in one conditional UPDATE.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.WAITING: frozenset({Status.LEASED, Status.FAILED, Status.SUPERSEDED, Status.RETIRED}),
    Status.LEASED: frozenset(
        {Status.LEASED, Status.ANSWERED, Status.FAILED, Status.SUPERSEDED, Status.RETIRED}
    ),
    Status.ANSWERED: frozenset({Status.WAITING}),
    Status.FAILED: frozenset({Status.WAITING, Status.ANSWERED, Status.RETIRED}),
    Status.SUPERSEDED: frozenset({Status.WAITING, Status.ANSWERED, Status.RETIRED}),
    Status.UNMATCHED: frozenset({Status.ANSWERED, Status.WAITING, Status.RETIRED}),
    Status.RETIRED: frozenset(),
}


def sources_of(target: Status) -> tuple[Status, ...]:
    """Return the states from which ``target`` can be reached."""
    return tuple(status for status, targets in TRANSITIONS.items() if target in targets)


def finished(status: Status) -> dict[str, object]:
    """Return the values of the columns with which a submission enters a finished state."""
    return {
        "status": status,
        "available_at": None,
        "due_at": None,
        "finished_at": database_now(),
    }
