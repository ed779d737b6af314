"""Send stored grades to Credentials again, at an operator's request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.conf import credentials_options
from xqueue_bridge.credentials import outbox
from xqueue_bridge.credentials.grade_filter import should_send
from xqueue_bridge.credentials.grades import StoredGrade, grades_at, grades_by_id

BATCH = 500

CourseKeys = tuple[LearningContextKey, ...]


def resend(
    *,
    since: datetime | None = None,
    course_keys: CourseKeys = (),
    only_failed: bool = False,
    dry_run: bool = False,
) -> Iterator[StoredGrade]:
    """Enqueue stored grades again, including those that were sent, and yield each of them.

    ``since``: only grades that have changed since then. ``only_failed``: only grades that were
    refused or have failed. ``dry_run``: only yield them. The sweeper sends them. Grades that
    GRADE_FILTER rejects are left out; its exceptions are propagated. Works in batches with at
    most 5 statements each, so it can be interrupted and repeated.
    """
    service = credentials_options()
    if service is None:
        return
    batches = _failed_ones if only_failed else _all_ones
    for batch in batches(since, course_keys):
        chosen = [
            grade
            for grade in batch
            if should_send(grade.user_id, grade.course_id, service.GRADE_FILTER)
        ]
        if chosen and not dry_run:
            outbox.resend(chosen)
        yield from chosen


def _all_ones(since: datetime | None, course_keys: CourseKeys) -> Iterator[list[StoredGrade]]:
    last_id = 0
    while batch := grades_by_id(last_id, BATCH, since=since, course_keys=course_keys):
        last_id = batch[-1].id
        yield batch


def _failed_ones(since: datetime | None, course_keys: CourseKeys) -> Iterator[list[StoredGrade]]:
    last_id = 0
    while rows := outbox.failed(last_id, BATCH, since=since, course_keys=course_keys):
        last_id = rows[-1].pk
        yield grades_at([row.key for row in rows])
