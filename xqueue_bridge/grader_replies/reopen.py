"""Put a learner's block back into waiting for a reply whose submission had failed."""

from __future__ import annotations

from itertools import islice

from django.utils import timezone

from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms import capa

#: History entries in which the state that waited is looked for, newest first.
MAX_ENTRIES = 200


def reopen(target: Target, queue_key: str) -> bool:
    """Let the learner's state wait for the queue key again; return False if it cannot.

    The state that waited is found in the history; the write has a history entry of its own. False:
    the learner has answered again or reset the problem, or the history does not contain that state.
    A learner without a row has a state that is stored elsewhere, or was deleted: True, and nothing
    is written. Call it in a transaction.
    """
    row = learner_state.lock_row(target.user_id, target.course_key, target.usage_key)
    if row is None or target.dispatch is not Dispatch.SCORE_UPDATE:
        return True
    fields = row.fields()
    if queue_key in capa.waiting_keys(fields):
        return True
    before = _state_that_waited(target, queue_key)
    if before is None:
        return False
    state = capa.reopened(fields, before, queue_key, f"{timezone.now():%Y%m%d%H%M%S}")
    if state is None:
        return False
    row.set_fields(state)
    learner_state.save_rows([row], learner_state.Reason.REQUEUE)
    return True


def _state_that_waited(target: Target, queue_key: str) -> dict[str, object] | None:
    """Return the newest state that waited for the key; None if its answer waited again."""
    entries = learner_state.read_history(target.user_id, target.usage_key, target.course_key)
    answered_since: set[str] = set()
    for entry in islice(entries, MAX_ENTRIES):
        waiting = capa.waiting_answers(entry.state or {})
        if queue_key in waiting:
            return None if waiting[queue_key] in answered_since else entry.state
        answered_since.update(waiting.values())
    return None
