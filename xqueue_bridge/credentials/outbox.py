"""Queries and state changes of the outbox: enqueue, claim, and close an attempt.

Only one process sends a learner's grade in a course at a time, and it sends the grade that is
stored at that time. So an old grade never arrives after a newer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.credentials.grades import StoredGrade
from xqueue_bridge.credentials.models import GradeOutbox

Status = GradeOutbox.Status

#: Maximum attempts for one grade.
MAX_ATTEMPTS = 11
#: Longer than one attempt with all its timeouts. The claim of a killed process ends after it.
CLAIM = timedelta(seconds=120)
#: Tolerated difference between the clocks of workers and web servers.
CLOCKS = timedelta(seconds=1)


def find(user_id: int, course_key: LearningContextKey) -> GradeOutbox | None:
    """Return the row of a learner in a course; one query."""
    return GradeOutbox.objects.filter(user_id=user_id, course_id=course_key).first()


def find_all(grades: list[StoredGrade]) -> dict[tuple[int, LearningContextKey], GradeOutbox]:
    """Return the rows of these grades' learners and courses; one query."""
    rows = GradeOutbox.objects.filter(
        user_id__in={grade.user_id for grade in grades},
        course_id__in={grade.course_id for grade in grades},
    )
    return {row.key: row for row in rows}


def is_enqueued(row: GradeOutbox | None, grade: StoredGrade) -> bool:
    """Return whether ``grade`` is enqueued, sent or refused already."""
    return row is not None and (row.wanted_version, row.wanted_modified) == grade.revision


def enqueue(grade: StoredGrade, *, verified: bool = True, error: str = "") -> None:
    """Enqueue ``grade``; one statement, a second one the first time.

    Enqueueing it again changes nothing. The wait after a failed attempt continues, because it
    protects the service. With an ``error`` the grade is stored as one that cannot be sent.
    """
    now = timezone.now()
    wanted = {"wanted_version": grade.version, "wanted_modified": grade.modified}
    facts = {"verified": verified, "last_error": error[:40]}
    status = Status.FAILED if error else Status.PENDING
    begun = None if error else Coalesce(F("next_attempt_at"), now)
    rows = GradeOutbox.objects.filter(user_id=grade.user_id, course_id=grade.course_id)
    # A process that sends the row keeps its claim, and compares the wanted grade when it ends. If
    # that process was killed, its attempts must not count for this grade.
    is_there = rows.exclude(**wanted).update(
        attempts=0,
        next_attempt_at=_unless_being_sent("next_attempt_at", begun),
        status=_unless_being_sent("status", status),
        **wanted,
        **facts,
    )
    if not is_there:
        # If another process inserts the row now, with any grade, the stored grade is still sent.
        first = GradeOutbox(user_id=grade.user_id, course_id=grade.course_id, status=status)
        first.next_attempt_at = None if error else now
        for name, value in {**wanted, **facts}.items():
            setattr(first, name, value)
        GradeOutbox.objects.bulk_create([first], ignore_conflicts=True)


def _unless_being_sent(column: str, value: Any) -> Case:
    being_sent = When(status=Status.SENDING, then=F(column))
    return Case(being_sent, default=value if hasattr(value, "resolve_expression") else Value(value))


def resend(grades: list[StoredGrade]) -> None:
    """Enqueue grades as if they had never been sent; three statements for any number."""
    now = timezone.now()
    fresh = [
        GradeOutbox(
            user_id=grade.user_id,
            course_id=grade.course_id,
            wanted_version=grade.version,
            wanted_modified=grade.modified,
            next_attempt_at=now,
        )
        for grade in grades
    ]
    GradeOutbox.objects.bulk_create(fresh, ignore_conflicts=True)
    rows = find_all(grades)
    resend_rows([rows[grade.key].pk for grade in grades])


def resend_rows(row_ids: Sequence[int]) -> int:
    """Make these rows due now, as if nothing had been sent; return how many.

    Rows that are being sent now are not changed: their outcome will be known soon.
    """
    rows = GradeOutbox.objects.filter(pk__in=row_ids).exclude(status=Status.SENDING)
    return rows.update(
        status=Status.PENDING,
        attempts=0,
        sent_version=None,
        sent_modified=None,
        next_attempt_at=timezone.now(),
    )


def failed(
    after_id: int,
    limit: int,
    *,
    since: datetime | None = None,
    course_keys: tuple[LearningContextKey, ...] = (),
) -> list[GradeOutbox]:
    """Return rows that were refused or have failed, in the order of their ids; one query."""
    rows = GradeOutbox.objects.filter(status=Status.FAILED, pk__gt=after_id)
    if since:
        rows = rows.filter(wanted_modified__gte=since)
    if course_keys:
        rows = rows.filter(course_id__in=course_keys)
    return list(rows.order_by("pk")[:limit])


def due(limit: int) -> list[GradeOutbox]:
    """Return the rows that are due, longest overdue first."""
    rows = GradeOutbox.objects.filter(next_attempt_at__lte=timezone.now())
    return list(rows.order_by("next_attempt_at")[:limit])


def claim(row: GradeOutbox) -> bool:
    """Claim ``row`` for this process; return False if it is not due or is claimed already.

    The attempt is counted now, so that an attempt that is killed counts too.
    """
    now = timezone.now()
    if row.next_attempt_at is None or row.next_attempt_at > now + CLOCKS:
        return False
    as_seen = GradeOutbox.objects.filter(
        pk=row.pk, status=row.status, next_attempt_at=row.next_attempt_at
    )
    if row.attempts >= MAX_ATTEMPTS:
        # Only a killed process leaves such a row. Another grade has its own count of attempts.
        as_seen = as_seen.filter(attempts=row.attempts)
        as_seen.update(status=Status.FAILED, next_attempt_at=None, last_error="interrupted")
        return False
    # A grade that changes at this moment is detected by the comparison in _close.
    row.attempts += 1
    until = now + CLAIM
    if not as_seen.update(status=Status.SENDING, attempts=row.attempts, next_attempt_at=until):
        return False
    row.status, row.next_attempt_at = Status.SENDING, until
    return True


def is_still_claimed(row: GradeOutbox) -> bool:
    """Return whether the claim leaves time for an attempt; a process may have been suspended."""
    return row.next_attempt_at is not None and timezone.now() < row.next_attempt_at - CLAIM / 2


def mark_sent(row: GradeOutbox, grade: StoredGrade) -> bool:
    """End the claim after Credentials accepted ``grade``."""
    return _close(
        row,
        {"status": Status.SENT, "next_attempt_at": None},
        again_at=timezone.now(),
        sent_version=grade.version,
        sent_modified=grade.modified,
        sent_at=timezone.now(),
        last_error="",
    )


def mark_failed(row: GradeOutbox, code: str) -> bool:
    """End the claim of a grade that will not be sent."""
    final = {"status": Status.FAILED, "next_attempt_at": None}
    return _close(row, final, again_at=timezone.now(), last_error=code[:40])


def schedule_retry(row: GradeOutbox, code: str, at: datetime) -> bool:
    """End the claim and schedule the next attempt at ``at``."""
    later = {"status": Status.PENDING, "next_attempt_at": at}
    return _close(row, later, again_at=at, last_error=code[:40])


def _close(row: GradeOutbox, ending: dict[str, Any], *, again_at: datetime, **facts: Any) -> bool:
    """Store the result of the attempt unless the claim was lost; return whether work is complete.

    If another grade has been enqueued meanwhile, its first attempt is due at ``again_at``.
    """
    ours = GradeOutbox.objects.filter(
        pk=row.pk, status=Status.SENDING, next_attempt_at=row.next_attempt_at
    )
    unchanged = ours.filter(wanted_version=row.wanted_version, wanted_modified=row.wanted_modified)
    if unchanged.update(**ending, **facts):
        return True
    return not ours.update(status=Status.PENDING, attempts=0, next_attempt_at=again_at, **facts)
