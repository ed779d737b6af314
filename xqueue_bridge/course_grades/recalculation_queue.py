"""Queue of dirty course grades: marked in each score's transaction, processed by any process.

There is one row for a learner and a course, so many scores within the delay are one
recalculation. The row is also the lock of the recalculation.

    idle ──a score──> due ──computed──> idle
                       │ └─an attempt fails─> due later ──too often──> failed ──a score──> due
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.db import connection
from django.db.models import F, TextField, Value
from django.db.models.functions import Concat
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_grades.models import GradeRecalculation
from xqueue_bridge.data import SavedScore
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.merge import Merge, MergeFields, insert_or_merge
from xqueue_bridge.db.transactions import after_commit, in_transaction, locks_by_writing
from xqueue_bridge.db.work_item import WorkItemQuerySet
from xqueue_bridge.lms.keys import parse_usage_key
from xqueue_bridge.worker.backoff import backoff
from xqueue_bridge.worker.enqueue import enqueue

#: Maximum attempts at one recalculation; then it has failed until it is requested again.
MAX_ATTEMPTS = 8
#: Seconds before the second attempt, and between two attempts, at most; at least half of it.
FIRST_DELAY, LONGEST_DELAY = 4.0, 600.0

#: ``last_error`` of a recalculation that found no course structure.
NO_STRUCTURE = "no structure of the course is known"

_ALL = "*"
_ALL_LINE = f"{_ALL}\t0\n"
_KEY = ("user_id", "course_id")

Key = tuple[int, CourseKey]


@dataclass(frozen=True, slots=True)
class PendingChanges:
    """Changes since the grade was computed.

    ``versions`` maps each block with a new score to the version that its row must have reached
    (0: any); ``all_subsections``: compute all subsections, whatever the scores are.
    """

    versions: dict[UsageKey, int]
    all_subsections: bool


def request_grades(*, scores: Iterable[SavedScore], **kwargs: object) -> None:
    """Receive ``scores_saving``: mark the grades dirty, and compute them after the commit.

    One statement, in the transaction of the scores. Scores in libraries, which have no grades, are
    left out, and all on a site without course grades. For a recalculation that is scheduled
    already nothing is enqueued.
    """
    if not options().COURSE_STRUCTURE_BACKEND:
        return
    lines: dict[Key, list[str]] = {}
    for score in scores:
        if isinstance(score.course_key, CourseKey):
            line = f"{score.usage_key}\t{score.version or 0}\n"
            lines.setdefault((score.user_id, score.course_key), []).append(line)
    for user_id, course_key in _mark(lines):
        after_commit(partial(enqueue, "recalculate_grade", (user_id, str(course_key))))


def request_recalculation(
    user_id: int,
    course_key: CourseKey,
    *,
    usage_key: UsageKey | None = None,
    version: int | None = None,
) -> bool:
    """Mark a learner's grade dirty, for one block's score or for the whole course; one statement.

    Call it in the transaction that writes the score. Returns whether a task has to be enqueued;
    if not, a recalculation is scheduled already.
    """
    line = _ALL_LINE if usage_key is None else f"{usage_key}\t{version or 0}\n"
    return bool(_mark({(user_id, course_key): [line]}))


def request_full_recalculations(course_key: CourseKey, user_ids: Iterable[int]) -> None:
    """Mark the grades of many learners dirty and due now, whatever their scores.

    One statement, and a transaction of its own.
    """
    lines = {(user_id, course_key): [_ALL_LINE] for user_id in user_ids}
    in_transaction(lambda: _mark(lines, _merge_due, delay=0))


def _merge_request(sql: Merge) -> dict[str, str]:
    """Keep the time and the attempts of a recalculation that is scheduled."""
    idle = f"{sql.old('next_attempt_at')} IS NULL"
    return {
        "attempts": f"CASE WHEN {idle} THEN 0 ELSE {sql.old('attempts')} END",
        "last_error": f"CASE WHEN {idle} THEN '' ELSE {sql.old('last_error')} END",
        "wanted": f"{sql.old('wanted')} + {sql.new('wanted')}",
        "changes": sql.concat(sql.old("changes"), sql.new("changes")),
        "next_attempt_at": f"COALESCE({sql.old('next_attempt_at')}, {sql.new('next_attempt_at')})",
    }


def _merge_due(sql: Merge) -> dict[str, str]:
    """Make the recalculation due, with attempts of its own."""
    merged = {name: sql.new(name) for name in ("attempts", "last_error", "next_attempt_at")}
    return {
        "wanted": f"{sql.old('wanted')} + {sql.new('wanted')}",
        "changes": sql.concat(sql.old("changes"), sql.new("changes")),
        **merged,
    }


def _mark(
    lines: Mapping[Key, list[str]],
    merge: MergeFields = _merge_request,
    *,
    delay: float | None = None,
) -> set[Key]:
    """Mark grades dirty, and return those of which no recalculation was scheduled.

    ``delay``: seconds until they are due; default: RECALCULATE_GRADE_DELAY_SECONDS.
    """
    wait = options().RECALCULATE_GRADE_DELAY_SECONDS if delay is None else delay
    due_at = database_now() + timedelta(seconds=wait)
    # In one order, so that two statements for the same learners do not deadlock.
    keys = sorted(lines, key=lambda key: (key[0], str(key[1])))
    rows = [
        {
            "user_id": user_id,
            "course_id": course_key,
            "wanted": len(lines[user_id, course_key]),
            "done": 0,
            "changes": "".join(lines[user_id, course_key]),
            "attempts": 0,
            "next_attempt_at": due_at,
            "last_error": "",
        }
        for user_id, course_key in keys
    ]
    times = insert_or_merge(
        GradeRecalculation, rows, key=_KEY, merge=merge, returning="next_attempt_at"
    )
    ours = connection.ops.adapt_datetimefield_value(due_at)
    # SQLite returns text; the other drivers return the type that they were given, or its text.
    return {key for key, at in zip(keys, times, strict=True) if at == ours or str(at) == str(ours)}


def retry_failed(row_ids: Iterable[int]) -> int:
    """Retry failed recalculations for all subsections; return how many."""
    changes = Concat("changes", Value(_ALL_LINE), output_field=TextField())
    return failed_recalculations().retry(row_ids, changes=changes, wanted=F("wanted") + 1)


def due(limit: int) -> list[tuple[int, CourseKey, int]]:
    """Return learner, course and ``wanted`` of what is due, longest overdue first."""
    rows = GradeRecalculation.objects.due().values_list("user_id", "course_id", "wanted")
    return list(rows[:limit])


def unfinished(course_key: CourseKey, *, only_tried: bool = False) -> list[int]:
    """Return the ids of all learners with a dirty grade in a course, due or failed.

    ``only_tried``: only those whose last attempt has failed.
    """
    rows = GradeRecalculation.objects.filter(course_id=course_key, done__lt=F("wanted"))
    if only_tried:
        rows = rows.filter(attempts__gt=0)
    return list(rows.order_by("user_id").values_list("user_id", flat=True))


def wanted_versions(course_key: CourseKey, user_ids: Collection[int]) -> dict[int, int]:
    """Return the ``wanted`` counts of learners in a course, by user id."""
    rows = GradeRecalculation.objects.filter(course_id=course_key, user_id__in=user_ids)
    return dict(rows.values_list("user_id", "wanted"))


def failed_recalculations() -> WorkItemQuerySet[GradeRecalculation]:
    """Return the query of recalculations that have failed and are not retried."""
    return GradeRecalculation.objects.filter(next_attempt_at=None, done__lt=F("wanted"))


def locked_row(user_id: int, course_key: CourseKey) -> GradeRecalculation | None:
    """Lock the learner's row in the course until the transaction ends; None if there is none."""
    rows = GradeRecalculation.objects.filter(user_id=user_id, course_id=course_key)
    if locks_by_writing():
        rows.update(wanted=F("wanted"))
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
            usage_key = parse_usage_key(name, row.course_id)
            # A deleted score has no version to wait for, and it replaces the earlier versions.
            wanted = int(version)
            versions[usage_key] = max(versions.get(usage_key, 0), wanted) if wanted else 0
    return PendingChanges(versions, all_subsections)


def finish(row: GradeRecalculation, error: str = "") -> None:
    """Mark the locked row as done."""
    row.attempts = 0
    GradeRecalculation.objects.mark_final(
        row, error, done=row.wanted, changes="", finished_at=database_now()
    )


def finish_without_structure(user_ids: Collection[int], course_key: CourseKey) -> int:
    """Mark as done what is requested of a course whose structure is not known; one statement.

    Return the number of learners. A learner of whom all subsections are to be computed is left
    out: the course may have been published meanwhile.
    """
    rows = GradeRecalculation.objects.filter(user_id__in=user_ids, course_id=course_key)
    return (
        rows.filter(done__lt=F("wanted"))
        .exclude(changes__contains=_ALL_LINE)
        .update(
            attempts=0,
            next_attempt_at=None,
            last_error=NO_STRUCTURE,
            done=F("wanted"),
            changes="",
            finished_at=database_now(),
        )
    )


def record_failure(user_id: int, course_key: CourseKey, error: str) -> None:
    """Record a failed attempt; schedule the next one unless this was the last."""

    def work() -> None:
        row = locked_row(user_id, course_key)
        if row is not None and row.done != row.wanted:
            keep_pending(row, pending_changes(row), error)

    in_transaction(work)


def keep_pending(row: GradeRecalculation, changes: PendingChanges, error: str) -> None:
    """Keep ``changes`` of the locked row for the next attempt, or mark the row as failed."""
    row.attempts += 1
    if row.attempts < MAX_ATTEMPTS:
        at = database_now() + timedelta(seconds=retry_delay(row.attempts))
        GradeRecalculation.objects.schedule_retry(row, error, at, changes=_text(changes))
    else:
        GradeRecalculation.objects.mark_final(row, error, changes=_text(changes))


def retry_delay(attempts: int) -> float:
    """Return the seconds to wait after the ``attempts``-th attempt: 2 to 600, with jitter."""
    return backoff(attempts, FIRST_DELAY, LONGEST_DELAY)


def _text(changes: PendingChanges) -> str:
    """Return one line for each block, so that ``changes`` does not grow while attempts fail."""
    lines = [f"{usage_key}\t{version}\n" for usage_key, version in changes.versions.items()]
    return "".join([*lines, _ALL_LINE] if changes.all_subsections else lines)
