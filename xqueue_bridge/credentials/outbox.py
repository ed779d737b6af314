"""Queries and state changes of the outbox: enqueue, claim, and close an attempt.

Only one process sends a learner's grade in a course at a time, and it sends the grade that is
stored at that time. So an old grade never arrives after a newer one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Coalesce
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.credentials.models import GradeOutbox
from xqueue_bridge.data import GradeVersion
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.work_item import MAX_ERROR

Status = GradeOutbox.Status

#: Maximum attempts for one grade.
MAX_ATTEMPTS = 11
#: Longer than one attempt with all its timeouts. The claim of a killed process ends after it.
CLAIM = timedelta(seconds=120)
#: Tolerated error of ``database_now``.
CLOCKS = timedelta(seconds=1)

Key = tuple[int, CourseKey]


def find(user_id: int, course_key: CourseKey) -> GradeOutbox | None:
    """Return the row of a learner in a course; one statement."""
    return GradeOutbox.objects.filter(user_id=user_id, course_id=course_key).first()


def find_all(grades: Iterable[GradeVersion]) -> dict[Key, GradeOutbox]:
    """Return the rows of the learners and courses of these grades; one statement."""
    rows = GradeOutbox.objects.filter(
        user_id__in={grade.user_id for grade in grades},
        course_id__in={grade.course_key for grade in grades},
    )
    return {row.key: row for row in rows}


def is_enqueued(row: GradeOutbox | None, grade: GradeVersion) -> bool:
    """Return whether ``grade`` is enqueued, sent or refused already; ``row`` is its learner's."""
    wanted = None if row is None else (row.wanted_version, row.wanted_modified)
    return wanted == (grade.version, grade.modified)


def enqueue(
    grade: GradeVersion, row: GradeOutbox | None, *, verified: bool = True, error: str = ""
) -> int | None:
    """Enqueue ``grade``; return the id of its row, None if another process did it. One statement.

    ``row`` is the learner's row in the course as it was read, None if there was none. Enqueueing
    a grade again changes nothing. The wait after a failed attempt continues, because it protects
    the service. With an ``error`` the grade is stored as one that cannot be sent.
    """
    status = Status.FAILED if error else Status.PENDING
    wanted = {"wanted_version": grade.version, "wanted_modified": grade.modified}
    how = {"verified": verified, "last_error": error[:MAX_ERROR]}
    if row is None:
        try:
            with transaction.atomic():
                return GradeOutbox.objects.create(
                    user_id=grade.user_id,
                    course_id=grade.course_key,
                    status=status,
                    next_attempt_at=None if error else database_now(),
                    **wanted,
                    **how,
                ).pk
        except IntegrityError:  # another process has inserted it
            row = find(grade.user_id, grade.course_key)
        # Without a row it is deleted again: the learner is being retired.
        if row is None or is_enqueued(row, grade):
            return None
    # A process that sends the row keeps its claim, and compares the wanted grade when it ends. If
    # that process was killed, its attempts must not count for this grade.
    begun = None if error else Coalesce(F("next_attempt_at"), database_now())
    GradeOutbox.objects.filter(pk=row.pk).exclude(**wanted).update(
        attempts=0,
        next_attempt_at=_unless_being_sent("next_attempt_at", begun),
        status=_unless_being_sent("status", status),
        **wanted,
        **how,
    )
    return row.pk


def _unless_being_sent(column: str, value: object) -> Case:
    being_sent = When(status=Status.SENDING, then=F(column))
    return Case(being_sent, default=value if hasattr(value, "resolve_expression") else Value(value))


def resend(grades: Sequence[GradeVersion]) -> None:
    """Enqueue grades as if they had never been sent; three statements for any number."""
    now = database_now()
    fresh = [
        GradeOutbox(
            user_id=grade.user_id,
            course_id=grade.course_key,
            wanted_version=grade.version,
            wanted_modified=grade.modified,
            next_attempt_at=now,
        )
        for grade in grades
    ]
    GradeOutbox.objects.bulk_create(fresh, ignore_conflicts=True)
    rows = find_all(grades)
    found = (rows.get((grade.user_id, grade.course_key)) for grade in grades)
    # A row that is missing was deleted since: its learner is being retired.
    resend_rows([row.pk for row in found if row is not None])


def resend_rows(row_ids: Sequence[int]) -> int:
    """Make these rows due now, as if nothing had been sent; return how many.

    Rows that are being sent now are not changed: their outcome will be known soon.
    """
    rows = GradeOutbox.objects.exclude(status=Status.SENDING)
    return rows.retry(row_ids, status=Status.PENDING, sent_version=None, sent_modified=None)


def failed(
    *, since: datetime | None = None, course_keys: Collection[CourseKey] = ()
) -> QuerySet[GradeOutbox]:
    """Return the query of rows that were refused or have failed."""
    rows = GradeOutbox.objects.filter(status=Status.FAILED)
    if since:
        rows = rows.filter(wanted_modified__gte=since)
    return rows.filter(course_id__in=course_keys) if course_keys else rows


def claim(row: GradeOutbox) -> bool:
    """Claim ``row`` for this process; return False if it is not due, or changed since it was read.

    The attempt is counted now, so that an attempt that is killed counts too.
    """
    now = database_now()
    if row.next_attempt_at is None or row.next_attempt_at > now + CLOCKS:
        return False
    if row.attempts >= MAX_ATTEMPTS:  # only a killed process leaves such a row
        GradeOutbox.objects.mark_final(row, "interrupted", status=Status.FAILED)
        return False
    row.attempts += 1
    return GradeOutbox.objects.claim(row, now + CLAIM, status=Status.SENDING)


def is_still_claimed(row: GradeOutbox) -> bool:
    """Return whether the claim leaves time for an attempt; a process may have been suspended."""
    return row.next_attempt_at is not None and database_now() < row.next_attempt_at - CLAIM / 2


def mark_sent(row: GradeOutbox, grade: GradeVersion) -> bool:
    """End the claim after Credentials accepted ``grade``; return whether no work is left."""
    now = database_now()
    sent = {"sent_version": grade.version, "sent_modified": grade.modified, "sent_at": now}
    claimed_until = row.next_attempt_at
    is_final = GradeOutbox.objects.mark_final(row, status=Status.SENT, **sent)
    return is_final or _enqueue_changed(row, claimed_until, database_now(), "", **sent)


def mark_failed(row: GradeOutbox, error: str) -> bool:
    """End the claim of a grade that will not be sent; return whether no work is left."""
    claimed_until = row.next_attempt_at
    is_final = GradeOutbox.objects.mark_final(row, error, status=Status.FAILED)
    return is_final or _enqueue_changed(row, claimed_until, database_now(), error)


def schedule_retry(row: GradeOutbox, error: str, at: datetime) -> bool:
    """End the claim and schedule the next attempt; return whether the grade has not changed."""
    claimed_until = row.next_attempt_at
    is_stored = GradeOutbox.objects.schedule_retry(row, error, at, status=Status.PENDING)
    return is_stored or _enqueue_changed(row, claimed_until, at, error)


def _enqueue_changed(
    row: GradeOutbox, claimed_until: datetime | None, at: datetime, error: str, **values: object
) -> bool:
    """End the claim of a row whose grade has changed meanwhile; its first attempt is due ``at``.

    ``enqueue`` has reset its attempts. Return False, or True if the claim was lost: then another
    process works on the row.
    """
    ours = GradeOutbox.objects.filter(
        pk=row.pk, status=Status.SENDING, next_attempt_at=claimed_until
    )
    return not ours.update(
        status=Status.PENDING,
        next_attempt_at=at,
        last_error=error[:MAX_ERROR],
        **values,
    )
