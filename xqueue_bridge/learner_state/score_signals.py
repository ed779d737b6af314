"""Send the score signals: ``scores_saving`` in the transaction, ``score_saved`` after commit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.db import transaction

from xqueue_bridge.data import SavedScore
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.row import StudentModuleRow
from xqueue_bridge.signals import score_saved, scores_saving


def send_score_signals(
    rows: Sequence[StudentModuleRow], reason: Reason, *, only_if_higher: bool = False
) -> None:
    """Send the signals for the scores of rows that are being written, if any has changed."""
    changed = [row for row in rows if (row.grade, row.max_grade) != row.stored_score]
    if not changed:
        return
    # Not robust: the rows that mark grades dirty are stored together with the scores, or neither.
    scores_saving.send(sender=StudentModule, scores=[_saved_score(row) for row in changed])
    for row in changed:
        row.stored_score = (row.grade, row.max_grade)
        send_signal = partial(
            score_saved.send_robust,
            sender=StudentModule,
            user_id=row.student_id,
            course_key=row.course_id,
            usage_key=row.module_state_key,
            earned=row.grade,
            possible=row.max_grade,
            version=_saved_score(row).version,
            modified=row.modified,
            only_if_higher=only_if_higher,
            score_deleted=row.max_grade is None,
            grader_response=reason == Reason.REPLY,
        )
        transaction.on_commit(send_signal)


def _saved_score(row: StudentModuleRow) -> SavedScore:
    version = None if row.max_grade is None else row.version
    return SavedScore(row.student_id, row.course_id, row.module_state_key, version)
