"""Enqueue changed grades for Credentials, and find changes that were missed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.conf import CredentialsOptions, credentials_options
from xqueue_bridge.credentials import outbox
from xqueue_bridge.credentials.client import quantised
from xqueue_bridge.credentials.grade_filter import should_send
from xqueue_bridge.credentials.grades import StoredGrade, changed_grades, stored_grade
from xqueue_bridge.credentials.models import GradeOutboxCursor
from xqueue_bridge.lms.users import username_of

#: A younger change may still be in processing or not yet committed.
SETTLE = timedelta(seconds=60)
#: How far back the first search for missed grades goes.
FIRST_LOOK = timedelta(days=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GradeToSend:
    """The arguments of the task ``send_grade_to_credentials``; plain JSON values.

    ``grade_last_updated`` is ISO 8601 with a zone. ``letter_grade`` is empty for a failing grade.
    """

    username: str
    course_run_key: str
    verified: bool
    letter_grade: str
    percent_grade: float
    grade_last_updated: str


def enqueue_if_changed(user_id: int, course_key: LearningContextKey) -> GradeToSend | None:
    """Enqueue a learner's stored grade if Credentials should have it and does not yet.

    Call it after the grade's commit. Returns what a worker needs to send it at once, or None.
    Writes nothing without a service, without a stored grade, for a grade that is enqueued
    already, and for one that GRADE_FILTER rejects. 2 statements for an unchanged grade, 4 for a
    changed one, 7 with BEGIN and COMMIT for the first, plus those of the filter.
    """
    service = credentials_options()
    grade = stored_grade(user_id, course_key) if service else None
    if service is None or grade is None:
        return None
    if outbox.is_enqueued(outbox.find(user_id, course_key), grade):
        return None
    return _enqueue(service, grade)


def enqueue_missed(limit: int = 500) -> int:
    """Enqueue grades whose change was not enqueued, as after a crash; return how many.

    Reads each change once, in order, up to ``SETTLE`` ago. 2 statements when there is none; safe
    in several processes at once.
    """
    service = credentials_options()
    if service is None:
        return 0
    cursor = _cursor()
    after = (cursor.modified, cursor.grade_id)
    grades = changed_grades(after, timezone.now() - SETTLE, limit)
    if not grades:
        return 0
    rows = outbox.find_all(grades)
    missed = [grade for grade in grades if not outbox.is_enqueued(rows.get(grade.key), grade)]
    found = sum(_enqueue(service, grade) is not None for grade in missed)
    GradeOutboxCursor.objects.filter(modified=cursor.modified, grade_id=cursor.grade_id).update(
        modified=grades[-1].modified, grade_id=grades[-1].id
    )
    return found


def _cursor() -> GradeOutboxCursor:
    first = {"modified": timezone.now() - FIRST_LOOK}
    return GradeOutboxCursor.objects.get_or_create(pk=GradeOutboxCursor.ONLY, defaults=first)[0]


def _enqueue(service: CredentialsOptions, grade: StoredGrade) -> GradeToSend | None:
    try:
        if not should_send(grade.user_id, grade.course_id, service.GRADE_FILTER):
            return None
    except Exception as exc:  # the host's code; its message may contain secrets
        log.error("GRADE_FILTER raised for grade %s: %s", grade.id, type(exc).__name__)
        outbox.enqueue(grade, error=f"GRADE_FILTER: {type(exc).__name__}")
        return None
    username = username_of(grade.user_id)
    if username is None:
        return None
    outbox.enqueue(grade)
    return _to_send(username, grade)


def _to_send(username: str, grade: StoredGrade) -> GradeToSend:
    return GradeToSend(
        username=username,
        course_run_key=str(grade.course_id),
        verified=True,
        letter_grade=grade.letter_grade or "",
        percent_grade=quantised(grade.percent_grade),
        grade_last_updated=grade.modified.isoformat(),
    )
