"""A pull for every database, in three statements; ``queue.pull`` uses it if it has none of its own.

A window of the work index is read and a row claimed, on the condition that it is unclaimed. If
another pull was first, the UPDATE matches no row and the next row is tried. No transaction is held
open. MySQL and MariaDB return no rows from an UPDATE, so the content is read after it.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TypeAlias

from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from xqueue_bridge.data import PulledSubmission
from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.db.prepared import Parameter, Prepared, PreparedNow
from xqueue_bridge.exceptions import QueueContended
from xqueue_bridge.option_groups import QueueOptions
from xqueue_bridge.submission_queue.finish import fail, has_time_left, supersede_expired
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent, pullkey_digest
from xqueue_bridge.submission_queue.paused_queues import is_queue_paused
from xqueue_bridge.submission_queue.pauses import is_paused
from xqueue_bridge.submission_queue.postgres_pull import log_pull, pulled_submission
from xqueue_bridge.submission_queue.states import Status, sources_of

#: Rows of the work index read in one round after the first, which reads one row. With more
#: concurrent graders than this, a pull may miss free rows and needs another round.
CLAIM_WINDOW = 32
#: Rounds after which a pull raises QueueContended.
CLAIM_ROUNDS = 5

#: Every open submission is due after this; a condition that each database reads the index with.
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)

#: Id, deliveries, id of the content, ``is_replaced``, whether its time has passed, ``regrade_of``.
Offered: TypeAlias = tuple[int, int, int, bool, bool, int | None]


def pull_in_steps(
    queue_name: str, grader_id: int | None, limits: QueueOptions
) -> PulledSubmission | None:
    """Lease the submission that is due first; return None if there is none.

    Raise QueueContended if other graders claimed every submission in the windows read.
    """
    for number in range(CLAIM_ROUNDS):
        window = _window(queue_name, grader_id, CLAIM_WINDOW if number else 1)
        if not window:
            return None
        for submission_id, deliveries, content_id, is_replaced, is_expired, _ in _ordered(window):
            if is_replaced:
                supersede_expired(submission_id)
            elif deliveries >= limits.MAX_DELIVERIES or (
                deliveries and is_expired and not has_time_left(submission_id, queue_name)
            ):
                fail(submission_id, deliveries)
            elif pullkey := _claim(
                submission_id, deliveries, queue_name, grader_id, limits.LEASE_SECONDS
            ):
                [content] = _content_statement().fetch(id=content_id)
                return pulled_submission(submission_id, deliveries + 1, pullkey, *content)
    raise QueueContended


def _ordered(window: Sequence[Offered]) -> Iterator[Offered]:
    """Yield the rows of a window in the order in which a pull tries them.

    The first of the window is first. The rest is in random order, so that concurrent pulls do not
    collide again and again; answers come before regrades.
    """
    yield from window[:1]
    rest = list(window[1:])
    random.shuffle(rest)
    yield from sorted(rest, key=lambda row: row[-1] is not None)


def _window(queue_name: str, grader_id: int | None, size: int) -> list[Offered]:
    """Return what a grader may claim, or what has to be finished instead; one statement."""
    statement = _window_statement(size)
    return statement.fetch(queue_name=queue_name.strip(), grader_id=grader_id or 0)


@lru_cache
def _window_statement(size: int) -> Prepared:
    now, queue_name = PreparedNow(), Parameter("queue_name")
    is_expired = ExpressionWrapper(Q(retry_until__lte=now), output_field=BooleanField())
    window = available(queue_name, now).filter(
        ~is_queue_paused(queue_name), ~is_paused(Parameter("grader_id"), queue_name, now)
    )
    rows = window.annotate(is_expired=is_expired).values_list(
        "pk", "deliveries", "content_id", "is_replaced", "is_expired", "regrade_of"
    )
    return Prepared.select(rows[:size])


def available(queue_name: str | Parameter, now: DatabaseNow) -> QuerySet[Submission]:
    """Return the submissions that the work index offers, in the order of delivery."""
    # With "=", MariaDB looks a queue up by its name alone if many submissions wait, and passes over
    # all finished ones in the index. Other databases read a range of due_at with "=" only.
    lookups = ("gte", "lte") if connection.vendor == "mysql" else ("exact",)
    of_queue = {f"queue_name__{lookup}": queue_name for lookup in lookups}
    rows = Submission.objects.filter(**of_queue, due_at__gt=_BEGIN, available_at__lte=now)
    return rows.order_by("queue_name", "due_at", "available_at", "pk")


def _claim(
    submission_id: int,
    deliveries: int,
    queue_name: str,
    grader_id: int | None,
    lease_seconds: float,
) -> str | None:
    """Lease a submission and return its new pullkey; None if another pull claimed it first."""
    pullkey = secrets.token_urlsafe(24)
    claimed = _claim_statement(lease_seconds).change(
        id=submission_id,
        deliveries=deliveries,
        next_deliveries=deliveries + 1,
        pullkey_digest=pullkey_digest(pullkey),
        grader_id=grader_id,
    )
    if not claimed:
        return None
    log_pull(submission_id, queue_name, grader_id)
    return pullkey


@lru_cache
def _claim_statement(lease_seconds: float) -> Prepared:
    now = PreparedNow()
    lease_end = now.plus(timedelta(seconds=lease_seconds))
    unclaimed = Submission.objects.filter(
        pk=Parameter("id"),
        deliveries=Parameter("deliveries"),
        available_at__lte=now,
        status__in=sources_of(Status.LEASED),
    )
    return Prepared.update(
        unclaimed,
        status=Status.LEASED,
        available_at=lease_end,
        due_at=lease_end,
        deliveries=Parameter("next_deliveries"),
        pullkey_digest=Parameter("pullkey_digest"),
        grader_id=Parameter("grader_id"),
        leased_at=now,
    )


@cache
def _content_statement() -> Prepared:
    content = SubmissionContent.objects.filter(pk=Parameter("id"))
    return Prepared.select(content.values_list("body", "files", "points"))
