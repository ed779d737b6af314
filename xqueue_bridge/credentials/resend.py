"""Send stored grades to Credentials again, at an operator's request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.conf import credentials_options
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import outbox
from xqueue_bridge.credentials.grade_filter import should_send
from xqueue_bridge.db.batches import by_key

BATCH = 500

CourseKeys = tuple[CourseKey, ...]
Grades = list[course_grades.PersistentCourseGrade]


def resend(
    *,
    since: datetime | None = None,
    course_keys: CourseKeys = (),
    only_failed: bool = False,
    dry_run: bool = False,
) -> Iterator[course_grades.PersistentCourseGrade]:
    """Enqueue stored grades again, including those that were sent, and yield each of them.

    ``since``: only grades that have changed since then. ``only_failed``: only grades that were
    refused or have failed. ``dry_run``: only yield them. The sweeper sends them. Grades that
    GRADE_FILTER rejects are left out; its exceptions are propagated. Works in batches with at
    most 4 statements each, so it can be interrupted and repeated.
    """
    service = credentials_options()
    if service is None:
        return
    for batch in (_failed if only_failed else _all)(since, course_keys):
        chosen = [
            grade
            for grade in batch
            if should_send(grade.user_id, grade.course_id, service.GRADE_FILTER)
        ]
        if chosen and not dry_run:
            outbox.resend([grade.stored_version for grade in chosen])
        yield from chosen


def _all(since: datetime | None, course_keys: CourseKeys) -> Iterator[Grades]:
    return by_key(course_grades.stored_grades(since=since, course_keys=course_keys), size=BATCH)


def _failed(since: datetime | None, course_keys: CourseKeys) -> Iterator[Grades]:
    for rows in by_key(outbox.failed(since=since, course_keys=course_keys), size=BATCH):
        yield course_grades.grades_by_key({row.key for row in rows})
