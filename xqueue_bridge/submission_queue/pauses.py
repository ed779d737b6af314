"""Circuit breaker of graders: pulls are paused for a grader whose replies are all invalid.

Only invalid replies write to the table, so that a valid result costs no statement. An accepted
result since the first invalid reply closes the breaker.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Exists

from xqueue_bridge.conf import options
from xqueue_bridge.db.clock import DatabaseNow, database_now
from xqueue_bridge.db.prepared import Parameter
from xqueue_bridge.log_fields import LogFields
from xqueue_bridge.signals import grader_paused
from xqueue_bridge.submission_queue.grader_models import GraderPause
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.worker.backoff import backoff

log = logging.getLogger(__name__)

#: Seconds of the first pause; it doubles with each further invalid reply up to PAUSE_MAX_SECONDS.
PAUSE_SECONDS = 60
PAUSE_MAX_SECONDS = 3600


def is_paused(grader_id: int | Parameter, queue_name: str | Parameter, now: DatabaseNow) -> Exists:
    """Return the condition that the grader's pulls from the queue are paused."""
    pauses = GraderPause.objects.filter(queue_name=queue_name, paused_until__gt=now)
    return Exists(pauses.filter(grader_id=grader_id))


def count_invalid_reply(grader_id: int, queue_name: str, submission_id: int, reason: str) -> None:
    """Count an invalid reply; pause the grader after PAUSE_AFTER_INVALID_REPLIES in a row.

    Only replies to different submissions count, so that one unusual answer pauses no grader. Call
    it in the transaction that stores the reply.
    """
    most = options().PAUSE_AFTER_INVALID_REPLIES
    if not most:
        return
    now = database_now()
    pause, _ = GraderPause.objects.select_for_update().get_or_create(
        grader_id=grader_id, queue_name=queue_name, defaults={"since": now}
    )
    if pause.invalid_replies and _has_succeeded(pause):
        pause.since, pause.invalid_replies, pause.paused_until = now, 0, None
    if pause.last_submission_id == submission_id:
        return
    pause.invalid_replies += 1
    pause.last_submission_id = submission_id
    pause.last_error = reason[:255]
    if pause.invalid_replies >= most:
        attempt = pause.invalid_replies - most + 1
        seconds = backoff(attempt, PAUSE_SECONDS, PAUSE_MAX_SECONDS, jitter=0)
        pause.paused_until = DatabaseNow(timedelta(seconds=seconds))
        transaction.on_commit(partial(_send_signal, pause, seconds))
    pause.save()


def resume(pause_ids: Collection[int]) -> int:
    """Let paused graders pull again; return their number."""
    return GraderPause.objects.filter(pk__in=pause_ids).delete()[0]


def paused_graders() -> dict[str, set[int]]:
    """Return the ids of the graders whose pulls from a queue are paused, by queue."""
    rows = GraderPause.objects.filter(paused_until__gt=DatabaseNow())
    found: dict[str, set[int]] = {}
    for queue_name, grader_id in rows.values_list("queue_name", "grader_id"):
        found.setdefault(queue_name, set()).add(grader_id)
    return found


def _has_succeeded(pause: GraderPause) -> bool:
    """Return whether a result of the grader was accepted since the first invalid reply."""
    return Submission.objects.filter(
        status=Status.ANSWERED,
        finished_at__gte=pause.since,
        grader_id=pause.grader_id,
        queue_name=pause.queue_name,
    ).exists()


def _send_signal(pause: GraderPause, seconds: float) -> None:
    log.error(
        "Grader %s is paused for %d s in queue %r: %s invalid replies in a row. The last one: %s",
        pause.grader_id,
        seconds,
        pause.queue_name,
        pause.invalid_replies,
        pause.last_error,
        extra=LogFields(
            submission_id=pause.last_submission_id,
            grader_id=pause.grader_id,
            queue_name=pause.queue_name,
        ),
    )
    grader_paused.send_robust(
        GraderPause,
        grader_id=pause.grader_id,
        queue_name=pause.queue_name,
        seconds=seconds,
        invalid_replies=pause.invalid_replies,
    )
