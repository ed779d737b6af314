"""Send the score signals: ``score_saving`` in the transaction, ``score_saved`` after commit."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction

from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.signals import score_saved, score_saving


def send_score_signals(row: Any, reason: Reason, *, only_if_higher: bool = False) -> None:
    """Send the signals for the score of a row that is being written, if it has changed."""
    score = (row.grade, row.max_grade)
    if score == row.stored_score:
        return
    row.stored_score = score
    is_deleted = row.max_grade is None
    place = {
        "user_id": row.student_id,
        "course_key": row.course_id,
        "usage_key": row.module_state_key,
    }
    # Not robust: the row that marks a grade dirty is stored together with the score, or neither.
    version = None if is_deleted else row.version
    score_saving.send(sender=StudentModule, version=version, **place)
    transaction.on_commit(
        partial(
            score_saved.send_robust,
            sender=StudentModule,
            earned=row.grade,
            possible=row.max_grade,
            version=version,
            modified=row.modified,
            only_if_higher=only_if_higher,
            score_deleted=is_deleted,
            grader_response=reason == Reason.REPLY,
            **place,
        )
    )
