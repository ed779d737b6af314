"""What course staff do, with its record: regrades, and repairs of stuck answers."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import F
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.operations.actions import record
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.regrading.api import Regrade
from xqueue_bridge.stuck_answers import api as stuck_answers
from xqueue_bridge.stuck_answers.api import Outcome, Repaired

Kind = OperatorAction.Kind

#: What may be done with a regrade.
REGRADE_CHANGES = {
    "pause": regrading.pause,
    "resume": regrading.resume,
    "cancel": regrading.cancel,
}


def start_regrade(
    selection: regrading.Selection,
    options: regrading.RegradeOptions,
    *,
    author_id: int | None = None,
) -> Regrade:
    """Start a regrade; raises as ``regrading.start`` does."""

    def work() -> Regrade:
        regrade = regrading.start(selection, options, author_id=author_id)
        _record(regrade, "start", author_id, selected=regrade.items.count())
        return regrade

    return in_transaction(work)


def change_regrade(regrade: Regrade, change: str, *, author_id: int | None = None) -> bool:
    """Pause, resume or cancel a regrade; return whether its status has changed."""

    def work() -> bool:
        is_changed = REGRADE_CHANGES[change](regrade.pk)
        if is_changed:
            _record(regrade, change, author_id)
        return is_changed

    return in_transaction(work)


def begin_repair(
    course_key: LearningContextKey | None, *, author_id: int | None = None
) -> OperatorAction:
    """Record that stuck answers will be repaired, of one course or of all."""
    parameters = {"course": str(course_key or "")}
    return record(Kind.REPAIR, author_id, parameters=parameters, selected=0, changed=0)


def repair(
    action: OperatorAction,
    row_ids: Collection[int],
    course_key: LearningContextKey | None = None,
) -> list[Repaired]:
    """Repair stuck answers, and count them in the record.

    Outside of a transaction, because a repair may run the host's code that loads blocks.
    """
    done = stuck_answers.repair(row_ids, course_key)
    repaired = sum(each.outcome != Outcome.NOT_REPAIRED for each in done)
    OperatorAction.objects.filter(pk=action.pk).update(
        selected=F("selected") + len(done), changed=F("changed") + repaired
    )
    return done


def _record(regrade: Regrade, change: str, author_id: int | None, *, selected: int = 1) -> None:
    parameters = {
        "regrade": regrade.pk,
        "change": change,
        "course": str(regrade.course_key),
    }
    record(
        Kind.REGRADE,
        author_id,
        queue_name=regrade.queue_name,
        parameters=parameters,
        selected=selected,
        changed=selected,
    )
