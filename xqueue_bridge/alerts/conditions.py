"""Find trouble in the samples of the queues, and open and close alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from xqueue_bridge.alerts.models import Alert
from xqueue_bridge.conf import alert_options
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.metrics import api as metrics
from xqueue_bridge.option_groups import AlertOptions

Key = tuple[str, str]
Kind = Alert.Kind

#: The newest minute whose samples this process has examined.
_done: datetime | None = None


def update_alerts() -> int:
    """Open an alert for each trouble of a queue, close those that have ended; return how many.

    Executes two statements a minute, and one for each change. Processes may run it at once: each
    change is a compare-and-set.
    """
    global _done
    limits = alert_options()
    now = database_now()
    if limits is None or (_done and now - _done < timedelta(minutes=1)):
        return 0
    samples = metrics.samples_since(now - metrics.WINDOW)
    found = {
        (str(kind), name): detail
        for name, rows in samples.items()
        for kind, detail in troubles(rows, limits)
    }
    changed = _apply(found, set(samples), now, limits)
    _done = now
    return changed


def troubles(rows: list[metrics.QueueSample], limits: AlertOptions) -> Iterator[tuple[Kind, str]]:
    """Yield what is wrong with a queue, and the measured values, from its samples of an hour.

    What waits in a paused queue is no trouble, nor for STALLED_SECONDS after the pause.
    """
    newest = rows[-1]
    recent = newest.minute - timedelta(seconds=limits.STALLED_SECONDS)
    was_paused = any(row.is_paused for row in rows if row.minute >= recent)
    if not was_paused and (newest.oldest_seconds or 0.0) > limits.STALLED_SECONDS:
        yield Kind.STALLED, f"{newest.oldest_seconds:.0f} s"
    waits = newest.waiting and not newest.is_paused
    if waits and not newest.graders:
        yield Kind.NO_GRADER, f"waiting: {newest.waiting}"
    seen = newest.grader_seen_seconds
    if waits and seen is not None and seen > limits.GRADER_GONE_SECONDS:
        yield Kind.GRADER_GONE, f"{seen:.0f} s"
    if newest.paused_graders:
        yield Kind.GRADER_PAUSED, f"paused: {newest.paused_graders}"
    failed = newest.failed_total - min(rows[0].failed_total, newest.failed_total)
    if failed >= limits.FAILED_PER_HOUR:
        yield Kind.FAILED, f"failed in an hour: {failed}"


def _apply(found: dict[Key, str], sampled: set[str], now: datetime, limits: AlertOptions) -> int:
    alerts = {(row.kind, row.queue_name): row for row in Alert.objects.all()}
    changed = 0
    for key, detail in found.items():
        row = alerts.get(key)
        if row is None:
            _insert(key, detail, now)
        if row is None or (not row.is_open and _switch(row, True, now, limits, detail)):
            changed += 1
    for key, row in alerts.items():
        # Without a sample nothing is known of the queue, so its alert stays open for now.
        is_over = key not in found and (row.queue_name in sampled or _is_old(row, now))
        if row.is_open and is_over and _switch(row, False, now, limits, row.detail):
            changed += 1
    return changed


def _is_old(row: Alert, now: datetime) -> bool:
    return now - row.changed_at > timedelta(days=1)


def _insert(key: Key, detail: str, now: datetime) -> None:
    kind, queue_name = key
    alert = Alert(
        kind=kind,
        queue_name=queue_name,
        is_open=True,
        changed_at=now,
        next_attempt_at=now,
        detail=detail,
    )
    Alert.objects.bulk_create([alert], ignore_conflicts=True)


def _switch(row: Alert, is_open: bool, now: datetime, limits: AlertOptions, detail: str) -> bool:
    """Open or close an alert; return whether no other process has done it."""
    due: datetime | None = now
    if is_open == row.is_told:
        due = None  # no notification told the last change, so there is nothing to correct
    elif is_open and row.notified_at:
        # Trouble that comes and goes is told once in this time.
        due = max(now, row.notified_at + timedelta(seconds=limits.REPEAT_SECONDS))
    rows = Alert.objects.filter(pk=row.pk, is_open=row.is_open, changed_at=row.changed_at)
    values = {"attempts": 0, "next_attempt_at": due, "detail": detail}
    return bool(rows.update(is_open=is_open, changed_at=now, **values))
