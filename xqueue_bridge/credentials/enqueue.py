"""Enqueue changed grades for Credentials, and find changes that were missed."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

from xqueue_bridge.conf import credentials_options
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import outbox
from xqueue_bridge.credentials.grade_filter import should_send
from xqueue_bridge.credentials.models import GradeOutbox, GradeOutboxCursor
from xqueue_bridge.data import GradeVersion
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.transactions import after_commit
from xqueue_bridge.option_groups import CredentialsOptions
from xqueue_bridge.worker.enqueue import enqueue

#: A younger change may still be in processing or not yet committed.
COMMIT_GRACE = timedelta(seconds=60)
#: How far back the first search for missed grades goes.
FIRST_LOOK = timedelta(days=1)

log = logging.getLogger(__name__)


def enqueue_updated(*, update: course_grades.GradeUpdate, **kwargs: object) -> None:
    """Receive ``grade_updated``: enqueue the grade for Credentials, and send it after the commit.

    Writes nothing without a service, for a grade that is enqueued already, and for one that
    GRADE_FILTER rejects. One statement for an unchanged grade, two for a changed one, plus those of
    the filter; one with BEGIN and COMMIT for the first grade of a learner in a course.
    """
    service = credentials_options()
    if service is None:
        return
    grade, row = update.course_grade.stored_version, None
    if update.previous_passed is not None:
        row = outbox.find(grade.user_id, grade.course_key)
        if outbox.is_enqueued(row, grade):
            return
    row_id = _enqueue(service, grade, row)
    if row_id is not None:
        after_commit(partial(enqueue, "send_grade", row_id))


def enqueue_missed(limit: int = 500) -> int:
    """Enqueue grades whose change was not enqueued, as after a crash; return how many.

    Reads each change once, in order, up to ``COMMIT_GRACE`` ago. 2 statements when there is none;
    safe in several processes at once.
    """
    service = credentials_options()
    if service is None:
        return 0
    cursor = _cursor()
    after = (cursor.modified, cursor.grade_id)
    grades = course_grades.changed_grades(after, database_now() - COMMIT_GRACE, limit)
    if not grades:
        return 0
    versions = [grade.stored_version for grade in grades]
    rows = outbox.find_all(versions)
    found = 0
    for version in versions:
        row = rows.get((version.user_id, version.course_key))
        if not outbox.is_enqueued(row, version):
            found += _enqueue(service, version, row) is not None
    GradeOutboxCursor.objects.filter(modified=cursor.modified, grade_id=cursor.grade_id).update(
        modified=grades[-1].modified, grade_id=grades[-1].pk
    )
    return found


def _cursor() -> GradeOutboxCursor:
    first = {"modified": database_now() - FIRST_LOOK}
    return GradeOutboxCursor.objects.get_or_create(pk=GradeOutboxCursor.ONLY, defaults=first)[0]


def _enqueue(
    service: CredentialsOptions, grade: GradeVersion, row: GradeOutbox | None
) -> int | None:
    user_id, course_key, *_version = grade
    try:
        if not should_send(user_id, course_key, service.GRADE_FILTER):
            return None
    except Exception as exc:  # the host's code; its message may contain secrets
        name = type(exc).__name__
        log.error("GRADE_FILTER for learner %s in %s: %s", user_id, course_key, name)
        outbox.enqueue(grade, row, error=f"GRADE_FILTER: {name}")
        return None
    return outbox.enqueue(grade, row)
