"""Let a graded answer wait for another reply, and end that waiting, in our own StudentModule.

Used by a regrade that does not keep the previous feedback while graders work on it, and by the
repair of an answer that waits for such a regrade after it has ended.
"""

from __future__ import annotations

from django.utils import timezone

from xqueue_bridge.data import Target
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms import capa


def wait_again(target: Target, answer_id: str, queue_key: str) -> capa.Entry | None:
    """Let the answer wait for the queue key; return its previous entry, for ``end_waiting``.

    None, and nothing is changed: the state does not have the answer, or it waits for another
    reply. The learner's score stays. Call it in a transaction. Three statements, four on SQLite.
    """
    row = learner_state.lock_row(target.user_id, target.course_key, target.usage_key)
    if row is None:
        return None
    fields = row.fields()
    answer = capa.graded_answer(fields, answer_id)
    if answer is None or answer.queue_key is not None:
        return None
    time = f"{timezone.now():%Y%m%d%H%M%S}"
    row.set_fields(capa.waiting_again(fields, answer_id, queue_key, time))
    learner_state.save_rows([row], learner_state.Reason.REQUEUE)
    return answer.entry


def end_waiting(target: Target, answer_id: str, queue_key: str, entry: capa.Entry) -> None:
    """Put the previous entry back if the answer still waits for this key.

    Call it in a transaction. Three statements, four on SQLite.
    """
    row = learner_state.lock_row(target.user_id, target.course_key, target.usage_key)
    if row is None:
        return
    fields = row.fields()
    answer = capa.graded_answer(fields, answer_id)
    if answer is None or answer.queue_key != queue_key:
        return
    row.set_fields(capa.with_entry(fields, answer_id, entry))
    learner_state.save_rows([row], learner_state.Reason.REQUEUE)


def wait_for_other(target: Target, queue_key: str, other_key: str) -> bool:
    """Let the answer that waits for one queue key wait for another; return whether it did.

    Call it in a transaction. Three statements, four on SQLite.
    """
    row = learner_state.lock_row(target.user_id, target.course_key, target.usage_key)
    if row is None:
        return False
    fields = row.fields()
    answer_id = capa.waiting_answers(fields).get(queue_key)
    if answer_id is None:
        return False
    time = f"{timezone.now():%Y%m%d%H%M%S}"
    row.set_fields(capa.waiting_again(fields, answer_id, other_key, time))
    learner_state.save_rows([row], learner_state.Reason.REQUEUE)
    return True
