"""The kinds of action on many rows: which rows each concerns, and the change of one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.models import F, QuerySet

from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.submission_queue import api as submission_queue

Kind = OperatorAction.Kind


@dataclass(frozen=True, slots=True)
class Change:
    """How one kind of action finds its rows and changes a batch of them."""

    rows: Callable[[], QuerySet[Any]]
    #: Changes the rows of these ids; returns how many have changed.
    work: Callable[[Sequence[int], OperatorAction], int]
    #: The lookup of the submission from a row.
    submission: str = ""
    #: False: the work runs code of the host and has a transaction for each row, in which it counts.
    is_atomic: bool = True
    size: int = 50


def count_changed(action: OperatorAction, number: int = 1) -> None:
    """Add to the rows that an action has changed; call it in the transaction of their change."""
    OperatorAction.objects.filter(pk=action.pk).update(changed=F("changed") + number)


CHANGES: dict[str, Change] = {
    Kind.MOVE: Change(
        submission_queue.unheld_submissions,
        lambda ids, action: submission_queue.move_submissions(ids, action.parameters["to"]),
        size=500,
    ),
    Kind.END: Change(
        submission_queue.unheld_submissions,
        lambda ids, _action: submission_queue.end_submissions(ids),
    ),
    Kind.REQUEUE: Change(
        submission_queue.failed_submissions,
        lambda ids, action: submission_queue.requeue(ids, partial(count_changed, action)),
        is_atomic=False,
        size=20,
    ),
    Kind.RETRY: Change(
        grader_replies.dead_replies,
        lambda ids, _action: grader_replies.retry_dead(ids),
        submission="submission__",
        size=500,
    ),
}


def rows_of(kind: str, queue_name: str, submission_ids: Sequence[int] | None) -> QuerySet[Any]:
    """Return the rows of an action: of one queue ("": of any), or of these submissions only."""
    change = CHANGES[kind]
    rows = change.rows()
    if queue_name:
        rows = rows.filter(**{f"{change.submission}queue_name": queue_name})
    if submission_ids is not None:
        rows = rows.filter(**{f"{change.submission}pk__in": submission_ids})
    return rows
