"""Actions of operators: preview, begin, and continue in batches; each is recorded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.operations.changes import CHANGES, count_changed, rows_of
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.protocol.fields import check_name
from xqueue_bridge.submission_queue import api as submission_queue

log = logging.getLogger(__name__)

Kind = OperatorAction.Kind

#: Submissions that an action may name; an action on a queue has no limit.
MAX_IDS = 500
#: A preview counts no further.
MAX_COUNTED = 10_000
#: Courses that a preview names.
MAX_COURSES = 5
#: Finished actions older than this are deleted.
KEEP = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator wants done: with a whole queue, or with the submissions of these ids."""

    kind: str
    queue_name: str = ""
    submission_ids: tuple[int, ...] | None = None
    #: MOVE: the name of the other queue.
    to: str = ""
    author_id: int | None = None

    def check(self) -> None:
        """Raise InvalidField, which names the field at fault."""
        if self.queue_name or self.submission_ids is None:
            check_name(self.queue_name, "queue")
        if self.submission_ids is not None and not 0 < len(self.submission_ids) <= MAX_IDS:
            raise InvalidField("submissions", f"1 to {MAX_IDS} ids are possible")
        if self.kind == Kind.MOVE:
            if check_name(self.to, "to") == self.queue_name.strip():
                raise InvalidField("to", "it is the same queue")
            if not submission_queue.is_known_queue(self.to.strip()):
                raise InvalidField("to", "the setting QUEUES does not have this queue")


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action concerns; ``number`` and ``learners`` are counted to MAX_COUNTED."""

    number: int
    learners: int
    courses: tuple[str, ...]
    #: MOVE: graders that may use the other queue.
    graders: int = 0
    #: The newest row; the action leaves later ones as they are.
    last_id: int = 0


def preview(order: Order) -> Preview:
    """Return what the action would concern; two statements, three for MOVE."""
    order.check()
    rows = rows_of(order.kind, order.queue_name, order.submission_ids)
    prefix = CHANGES[order.kind].submission
    columns = rows.order_by("pk").values_list(f"{prefix}user_id", f"{prefix}course_key")
    found = list(columns[:MAX_COUNTED])
    courses = sorted({str(course_key) for _user_id, course_key in found})
    graders = submission_queue.graders_of(order.to) if order.kind == Kind.MOVE else 0
    return Preview(
        len(found),
        len({user_id for user_id, _course_key in found}),
        tuple(courses[:MAX_COURSES]),
        graders,
        rows.aggregate(last=Max("pk"))["last"] or 0,
    )


def begin(order: Order, *, last_id: int | None = None) -> OperatorAction:
    """Record an action and run its first batch; ``continue_actions`` runs the rest.

    ``last_id`` is that of the preview that the operator has confirmed.
    """
    if order.kind in (Kind.PAUSE, Kind.RESUME):
        return _switch(order)
    seen = preview(order)
    parameters: dict[str, Any] = {"to": order.to.strip()} if order.kind == Kind.MOVE else {}
    if order.submission_ids is not None:
        parameters["submissions"] = list(order.submission_ids)
    action = OperatorAction.objects.create(
        kind=order.kind,
        queue_name=order.queue_name,
        parameters=parameters,
        author_id=order.author_id,
        created_at=database_now(),
        selected=seen.number,
        last_id=seen.last_id if last_id is None else min(last_id, seen.last_id),
    )
    log.info("Operator action %s begins: %s, %s selected", action.pk, action.kind, seen.number)
    run_batch(action)
    return action


def carry_out(order: Order) -> OperatorAction:
    """Record an action and run all of its batches."""
    action = begin(order)
    # Each batch goes forward, up to the newest row at the begin. If another process runs batches
    # of this action, too, it ends here earlier.
    while action.finished_at is None and run_batch(action):
        pass
    action.refresh_from_db()
    return action


def record(
    kind: str,
    author_id: int | None,
    *,
    queue_name: str = "",
    parameters: Mapping[str, Any] | None = None,
    selected: int = 1,
    changed: int = 1,
) -> OperatorAction:
    """Record an action that is done; call it in the transaction of its change. One INSERT."""
    now = database_now()
    return OperatorAction.objects.create(
        kind=kind,
        queue_name=queue_name,
        parameters=dict(parameters or {}),
        author_id=author_id,
        created_at=now,
        finished_at=now,
        selected=selected,
        changed=changed,
    )


def run_batch(action: OperatorAction) -> bool:
    """Run the next batch of an action; return whether more is left for this process to do."""
    change = CHANGES[action.kind]
    rows = rows_of(action.kind, action.queue_name, action.parameters.get("submissions"))
    following = rows.filter(pk__gt=action.done_until, pk__lte=action.last_id)
    ids = list(following.order_by("pk").values_list("pk", flat=True)[: change.size])
    is_last = len(ids) < change.size
    until = action.last_id if is_last else ids[-1]
    if not change.is_atomic:
        # If it is killed, the next run goes on with the rows that have not changed.
        change.work(ids, action)

    def run() -> bool:
        mine = OperatorAction.objects.filter(
            pk=action.pk, done_until=action.done_until, finished_at=None
        )
        now = database_now() if is_last else None
        if not mine.update(done_until=until, finished_at=now):
            return False
        if change.is_atomic and ids:
            count_changed(action, change.work(ids, action))
        return True

    if not in_transaction(run):
        return False  # another process has run this batch
    action.refresh_from_db()
    return action.finished_at is None


def continue_actions(limit: int = 10) -> int:
    """Run one batch of each action that is not finished; return how many. Used by the sweeper."""
    waiting = OperatorAction.objects.filter(finished_at=None).order_by("pk")[:limit]
    found = list(waiting)
    for action in found:
        run_batch(action)
    return len(found)


def delete_old_actions(limit: int = 1000) -> int:
    """Delete actions that were finished longer than KEEP ago; return how many."""
    old = OperatorAction.objects.filter(finished_at__lt=database_now() - KEEP)
    ids = list(old.order_by("finished_at").values_list("pk", flat=True)[:limit])
    return OperatorAction.objects.filter(pk__in=ids).delete()[0] if ids else 0


def _switch(order: Order) -> OperatorAction:
    """Pause or resume a queue; three statements at most besides the record."""
    change = (
        submission_queue.pause_queue if order.kind == Kind.PAUSE else submission_queue.resume_queue
    )
    with transaction.atomic():
        is_changed = change(order.queue_name)
        return record(
            order.kind,
            order.author_id,
            queue_name=order.queue_name.strip(),
            changed=int(is_changed),
        )
