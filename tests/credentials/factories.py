"""Factories of learners, their stored course grades and their rows of the outbox."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.credentials import api
from xqueue_bridge.credentials.models import GradeOutbox

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
OTHER_COURSE = CourseKey.from_string("course-v1:DemoX+CS102+2026")
THE_PAST = datetime.fromisoformat("2020-01-01T00:00:00+00:00")


def make_learner(username: str = "ada") -> int:
    """Return the id of a new learner."""
    return get_user_model().objects.create(username=username).pk


def store_grade(
    user_id: int,
    percent: float = 0.8,
    letter: str = "Pass",
    *,
    course_key: CourseKey = COURSE,
    modified: datetime | None = None,
) -> PersistentCourseGrade:
    """Store a course grade as a recalculation does: the version grows, ``modified`` moves."""
    now = modified or timezone.now()
    row = PersistentCourseGrade.objects.filter(user_id=user_id, course_id=course_key).first()
    if row is None:
        row = PersistentCourseGrade(user_id=user_id, course_id=course_key, created=now)
    row.percent_grade, row.exact_percent, row.letter_grade = percent, percent, letter
    row.passed = bool(letter)
    row.version += 1
    row.modified = row.computed_at = now
    row.save()
    return row


def enqueue(user_id: int, course_key: CourseKey = COURSE, *, is_first: bool = False) -> int | None:
    """Enqueue the learner's stored grade; return the id of the outbox row, if there is one."""
    update = SimpleNamespace(
        course_grade=stored(user_id, course_key), previous_passed=None if is_first else False
    )
    api.enqueue_updated(update=update)
    rows = GradeOutbox.objects.filter(user_id=user_id, course_id=course_key)
    return rows.values_list("pk", flat=True).first()


def stored(user_id: int, course_key: CourseKey = COURSE) -> PersistentCourseGrade:
    """Return the learner's stored grade."""
    return PersistentCourseGrade.objects.get(user_id=user_id, course_id=course_key)


def row_of(user_id: int, course_key: CourseKey = COURSE) -> GradeOutbox:
    """Return the learner's row in the outbox."""
    return GradeOutbox.objects.get(user_id=user_id, course_id=course_key)


def make_due(**where: Any) -> None:
    """Make rows due whose next attempt is later."""
    rows = GradeOutbox.objects.filter(next_attempt_at__isnull=False, **where)
    rows.update(next_attempt_at=THE_PAST)
