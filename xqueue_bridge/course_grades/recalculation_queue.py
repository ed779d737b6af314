"""Queue of dirty course grades: marked in each score's transaction, processed by any process.

There is one row for a learner and a course, so many scores within the delay are one
recalculation. The row is also the lock of the recalculation.

    idle ──a score──> due ──computed──> idle
                       │ └─an attempt fails─> due later ──too often──> failed ──a score──> due
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from django.db import connection
from django.db.models import F, QuerySet, TextField, Value
from django.db.models.functions import Coalesce, Concat
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_grades.models import GradeRecalculation
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.lms.keys import with_run

#: Maximum attempts at one recalculation; then it has failed until it is requested again.
MAX_ATTEMPTS = 8
#: Seconds before the second attempt; doubles.
FIRST_PAUSE = 2

_ALL = "*"


@dataclass(frozen=True, slots=True)
class PendingChanges:
    """Changes since the grade was computed.

    ``versions`` maps each block with a new score to the version that its row must have reached
    (0: any); ``all_subsections``: compute all subsections, whatever the scores are.
    """

    versions: dict[UsageKey, int]
    all_subsections: bool


def request_recalculation(
    user_id: int,
    course_key: CourseKey,
    *,
    usage_key: UsageKey | None = None,
    version: int | None = None,
) -> bool:
    """Mark a learner's grade dirty, for one block's score or for the whole course.

    Call it in the transaction that writes the score. Returns whether a task has to be enqueued;
    if not, a recalculation is scheduled already. One statement, two while one is scheduled, four
    the first time.
    """
    change = f"{usage_key or _ALL}\t{version or 0}\n"
    return _enqueue(user_id, course_key, change)


def _enqueue(user_id: int, course_key: CourseKey, change: str) -> bool:
    rows = _rows_of(user_id, course_key)
    marks = {
        "wanted": F("wanted") + 1,
        "changes": Concat("changes", Value(change), output_field=TextField()),
    }
    next_attempt_at = timezone.now() + timedelta(seconds=options().RECALCULATE_GRADE_DELAY_SECONDS)
    for is_first_attempt in (True, False):
        if rows.filter(next_attempt_at=None).update(
            next_attempt_at=next_attempt_at, attempts=0, last_error="", **marks
        ):
            return True
        # A recalculation may have ended between the two statements.
        if rows.update(
            next_attempt_at=Coalesce("next_attempt_at", Value(next_attempt_at)), **marks
        ):
            return False
        if is_first_attempt:
            fresh = GradeRecalculation(user_id=user_id, course_id=course_key)
            GradeRecalculation.objects.bulk_create([fresh], ignore_conflicts=True)
    raise AssertionError("the row that was just inserted is gone")


def request_full_recalculations(course_key: CourseKey, user_ids: Iterable[int]) -> None:
    """Mark the grades of many learners dirty, whatever their scores."""
    ids = sorted(user_ids)
    rows = [GradeRecalculation(user_id=user_id, course_id=course_key) for user_id in ids]
    change = Value(f"{_ALL}\t0\n")

    def work() -> None:
        GradeRecalculation.objects.bulk_create(rows, ignore_conflicts=True)
        GradeRecalculation.objects.filter(course_id=course_key, user_id__in=ids).update(
            wanted=F("wanted") + 1,
            changes=Concat("changes", change, output_field=TextField()),
            next_attempt_at=timezone.now(),
            attempts=0,
            last_error="",
        )

    in_transaction(work)


def retry_failed(row_ids: Iterable[int]) -> int:
    """Retry failed recalculations; return how many."""
    failed = failed_recalculations().filter(pk__in=list(row_ids))
    return failed.update(next_attempt_at=timezone.now(), attempts=0)


def due(limit: int, course_key: CourseKey | None = None) -> list[tuple[int, CourseKey]]:
    """Return the learners and courses that are due, longest overdue first."""
    rows = GradeRecalculation.objects.filter(next_attempt_at__lte=timezone.now())
    if course_key is not None:
        rows = rows.filter(course_id=course_key)
    found = rows.order_by("next_attempt_at").values_list("user_id", "course_id")[:limit]
    return [(user_id, cast(CourseKey, each)) for user_id, each in found]


def unfinished(course_key: CourseKey, *, only_tried: bool = False) -> list[int]:
    """Return the ids of all learners with a dirty grade in a course, due or failed.

    ``only_tried``: only those whose last attempt has failed.
    """
    rows = GradeRecalculation.objects.filter(course_id=course_key, done__lt=F("wanted"))
    if only_tried:
        rows = rows.filter(attempts__gt=0)
    return list(rows.order_by("user_id").values_list("user_id", flat=True))


def failed_recalculations(course_key: CourseKey | None = None) -> QuerySet[GradeRecalculation]:
    """Return the query of recalculations that have failed and are not retried."""
    rows = GradeRecalculation.objects.filter(next_attempt_at=None, done__lt=F("wanted"))
    return rows if course_key is None else rows.filter(course_id=course_key)


def _rows_of(user_id: int, course_key: CourseKey) -> QuerySet[GradeRecalculation]:
    """Return the query for a learner's row in a course."""
    return GradeRecalculation.objects.filter(user_id=user_id, course_id=course_key)


def requested_version(user_id: int, course_key: CourseKey) -> int | None:
    """Return the ``wanted`` count of a learner's grade; None if the grade is not dirty."""
    rows = _rows_of(user_id, course_key).filter(done__lt=F("wanted"))
    return rows.values_list("wanted", flat=True).first()


def locked_row(user_id: int, course_key: CourseKey) -> GradeRecalculation | None:
    """Lock the learner's row in the course until the transaction ends; None if there is none."""
    rows = _rows_of(user_id, course_key)
    if not connection.features.has_select_for_update:
        rows.update(wanted=F("wanted"))  # on SQLite only a write locks, and it must precede reads
    return rows.select_for_update().first()


def locked_row_or_new(user_id: int, course_key: CourseKey) -> GradeRecalculation:
    """Lock the learner's row in the course; insert it first if there is none."""
    row = locked_row(user_id, course_key)
    if row is None:
        fresh = GradeRecalculation(user_id=user_id, course_id=course_key)
        GradeRecalculation.objects.bulk_create([fresh], ignore_conflicts=True)
        row = locked_row(user_id, course_key)
    if row is None:
        raise AssertionError("the row that was just inserted is gone")
    return row


def pending_changes(row: GradeRecalculation) -> PendingChanges:
    """Return the changes that a row contains."""
    versions: dict[UsageKey, int] = {}
    all_subsections = False
    for line in row.changes.splitlines():
        name, _, version = line.partition("\t")
        if name == _ALL:
            all_subsections = True
        else:
            course_key = cast(CourseKey, row.course_id)
            usage_key = with_run(UsageKey.from_string(name), course_key)
            # A deleted score has no version to wait for, and it replaces the earlier versions.
            wanted = int(version)
            versions[usage_key] = max(versions.get(usage_key, 0), wanted) if wanted else 0
    return PendingChanges(versions, all_subsections)


def finish(row: GradeRecalculation, error: str = "") -> None:
    """Mark the locked row as done."""
    GradeRecalculation.objects.filter(pk=row.pk).update(
        done=row.wanted,
        changes="",
        next_attempt_at=None,
        attempts=0,
        last_error=error[:255],
        finished_at=timezone.now(),
    )


def record_failure(user_id: int, course_key: CourseKey, error: str) -> None:
    """Record a failed attempt; schedule the next one unless this was the last."""

    def work() -> None:
        row = locked_row(user_id, course_key)
        if row is None or row.done == row.wanted:
            return
        attempts = row.attempts + 1
        pause = timedelta(seconds=FIRST_PAUSE * 2 ** min(row.attempts, MAX_ATTEMPTS))
        GradeRecalculation.objects.filter(pk=row.pk).update(
            attempts=attempts,
            next_attempt_at=timezone.now() + pause if attempts < MAX_ATTEMPTS else None,
            last_error=error[:255],
            changes=_shortened(pending_changes(row)),
        )

    in_transaction(work)


def _shortened(changes: PendingChanges) -> str:
    """Return one line for each block, so that ``changes`` does not grow while attempts fail."""
    lines = [f"{usage_key}\t{version}\n" for usage_key, version in changes.versions.items()]
    if changes.all_subsections:
        lines.append(f"{_ALL}\t0\n")
    return "".join(lines)
