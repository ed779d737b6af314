"""Revoke a grader's access, at once or with notice, and rotate its secret."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from xqueue_bridge.operations.actions import record
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.submission_queue import api as submission_queue


def revoke_grader(
    grader: submission_queue.Grader,
    *,
    notice: timedelta = timedelta(0),
    author_id: int | None = None,
) -> OperatorAction:
    """Let a grader pull nothing more, and log in no more when the notice has passed.

    With a notice it may return the results of what it holds. Without one its leases end, so that
    other graders get those submissions at once.
    """
    with transaction.atomic():
        submission_queue.end_access(grader, notice)
        released = 0 if notice else submission_queue.release_leases(grader)
        return record(
            OperatorAction.Kind.REVOKE,
            author_id,
            parameters={
                "grader": grader.name,
                "notice_minutes": round(notice / timedelta(minutes=1)),
                "leases_ended": released,
            },
        )


def rotate_secret(
    grader: submission_queue.Grader, *, overlap: timedelta, author_id: int | None = None
) -> str:
    """Return a new secret of a grader; the former one is valid for ``overlap``."""
    with transaction.atomic():
        secret = submission_queue.issue_secret(grader, overlap=overlap)
        record(
            OperatorAction.Kind.ROTATE,
            author_id,
            parameters={
                "grader": grader.name,
                "overlap_hours": overlap / timedelta(hours=1),
            },
        )
    return secret
