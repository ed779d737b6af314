"""Queries for stored course grades; the only module of this package that uses their table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet
from opaque_keys.edx.keys import LearningContextKey

_COLUMNS = (
    "id",
    "user_id",
    "course_id",
    "percent_grade",
    "letter_grade",
    "version",
    "modified",
)


@dataclass(frozen=True, slots=True)
class StoredGrade:
    """A learner's stored course grade. ``percent_grade`` is 0..1, or more with extra credit;
    ``letter_grade`` is empty below the lowest cutoff; ``modified`` is its last change.
    """

    id: int
    user_id: int
    course_id: LearningContextKey
    percent_grade: float
    letter_grade: str
    version: int
    modified: datetime

    @property
    def key(self) -> tuple[int, LearningContextKey]:
        """The user id and the course key."""
        return self.user_id, self.course_id

    @property
    def revision(self) -> tuple[int, datetime]:
        """The revision, which differs between any two grades of one learner in one course."""
        return self.version, self.modified


def stored_grade(user_id: int, course_key: LearningContextKey) -> StoredGrade | None:
    """Return the learner's stored grade; one query."""
    row = _grades().filter(user_id=user_id, course_id=course_key).values(*_COLUMNS).first()
    return StoredGrade(**row) if row else None


def changed_grades(after: tuple[datetime, int], until: datetime, limit: int) -> list[StoredGrade]:
    """Return grades in the order of their last change, from after ``after`` up to ``until``."""
    modified, grade_id = after
    behind = Q(modified__gt=modified) | Q(modified=modified, id__gt=grade_id)
    # The first filter is implied by the second; it lets the database use the index.
    rows = _grades().filter(modified__gte=modified, modified__lte=until).filter(behind)
    return _values(rows.order_by("modified", "id"), limit)


def grades_by_id(
    after_id: int,
    limit: int,
    *,
    since: datetime | None = None,
    course_keys: tuple[LearningContextKey, ...] = (),
) -> list[StoredGrade]:
    """Return grades in the order of their ids, filtered by last change and by course."""
    rows = _grades().filter(id__gt=after_id)
    if since:
        rows = rows.filter(modified__gte=since)
    if course_keys:
        rows = rows.filter(course_id__in=course_keys)
    return _values(rows.order_by("id"), limit)


def grades_at(places: list[tuple[int, LearningContextKey]]) -> list[StoredGrade]:
    """Return the stored grades with these user ids and course keys; one query."""
    wanted = set(places)
    users = {user_id for user_id, _ in places}
    rows = _grades().filter(user_id__in=users, course_id__in={key for _, key in places})
    return [grade for grade in _values(rows) if grade.key in wanted]


def _values(rows: QuerySet[Any], limit: int | None = None) -> list[StoredGrade]:
    return [StoredGrade(**row) for row in rows.values(*_COLUMNS)[:limit]]


def _grades() -> QuerySet[Any]:
    return apps.get_model("xqueue_bridge", "PersistentCourseGrade").objects.all()
