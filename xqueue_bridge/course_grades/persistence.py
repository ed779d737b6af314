"""Convert grades between table rows and the value types of the computation."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import CharField, ExpressionWrapper, F, Model, QuerySet
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_grades.course_grade import (
    CourseGrade,
    SubsectionGrade,
    SubsectionOverride,
    fingerprint,
)
from xqueue_bridge.course_grades.grading_rules import ProblemScore
from xqueue_bridge.course_grades.models import (
    Override,
    PersistentCourseGrade,
    PersistentSubsectionGrade,
    PersistentSubsectionGradeOverride,
    VisibleBlocks,
)
from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.db.merge import upsert
from xqueue_bridge.lms.keys import parse_usage_key

log = logging.getLogger(__name__)

#: Points of a subsection grade that come from scores.
_SUMS = ("earned_all", "possible_all", "earned_graded", "possible_graded")
_SUBSECTION_FIELDS = (
    "subtree_edited_timestamp",
    "course_version",
    "earned_all",
    "possible_all",
    "earned_graded",
    "possible_graded",
    "first_attempted",
    "visible_blocks",
    "modified",
)


def read_course_row(user_id: int, course_key: CourseKey) -> PersistentCourseGrade | None:
    """Return the row of the learner's stored course grade."""
    return PersistentCourseGrade.objects.filter(user_id=user_id, course_id=course_key).first()


def course_grade_of(row: PersistentCourseGrade) -> CourseGrade:
    """Return a stored course grade as a value, without details."""
    return CourseGrade(
        user_id=row.user_id,
        course_key=row.course_id,
        percent=_number(row, "percent_grade"),
        letter_grade=row.letter_grade or None,
        passed=row.passed,
        exact_percent=_number(row, "exact_percent"),
        last_updated=row.modified,
        passed_timestamp=row.passed_timestamp,
        version=row.version,
    )


def read_subsections(
    user_id: int, course_key: CourseKey
) -> dict[UsageKey, tuple[PersistentSubsectionGrade, SubsectionGrade]]:
    """Return the learner's stored subsection grades, with their overrides; one statement."""
    rows = subsection_rows(course_key).filter(user_id=user_id)
    found = ((row, subsection_grade_of(row, course_key)) for row in rows)
    return {grade.usage_key: (row, grade) for row, grade in found}


def subsection_rows(course_key: CourseKey) -> QuerySet[Any]:
    """Return the query of all subsection grades of a course, with their overrides and with the
    text of the usage key as ``usage``.
    """
    rows = PersistentSubsectionGrade.objects.filter(course_id=course_key)
    usage = ExpressionWrapper(F("usage_key"), output_field=CharField())
    return rows.select_related("override").annotate(usage=usage).defer("course_id", "usage_key")


def subsection_grade_of(row: Any, course_key: CourseKey) -> SubsectionGrade:
    """Return one of ``subsection_rows`` as a value."""
    override: PersistentSubsectionGradeOverride | None = getattr(row, "override", None)
    return SubsectionGrade(
        usage_key=parse_usage_key(row.usage, course_key),
        computed_all=ProblemScore(
            _number(row, "earned_all"), _number(row, "possible_all"), False, row.first_attempted
        ),
        computed_graded=ProblemScore(
            _number(row, "earned_graded"),
            _number(row, "possible_graded"),
            True,
            row.first_attempted,
        ),
        override=None if override is None else override_of(override),
    )


def has_finite_sums(row: PersistentSubsectionGrade) -> bool:
    """Return whether all points of a stored subsection grade are finite; else compute it again."""
    return all(math.isfinite(getattr(row, name)) for name in _SUMS)


def override_of(row: Override) -> SubsectionOverride:
    """Return a stored override as a value."""
    return SubsectionOverride(
        earned_all=_finite(row, "earned_all_override"),
        possible_all=_finite(row, "possible_all_override"),
        earned_graded=_finite(row, "earned_graded_override"),
        possible_graded=_finite(row, "possible_graded_override"),
        reason=row.override_reason,
        system=row.system,
        author_id=row.author_id,
    )


def differs(row: PersistentSubsectionGrade, grade: SubsectionGrade) -> bool:
    """Return whether a computed subsection grade differs from the stored one."""
    return _sums(grade) != {name: getattr(row, name) for name in _sums(grade)}


def write_subsections(
    user_id: int,
    course: Course,
    grades: Sequence[SubsectionGrade],
    stored: Mapping[UsageKey, tuple[PersistentSubsectionGrade, SubsectionGrade]],
    now: datetime,
) -> None:
    """Insert and update subsection grades: two statements for any number, none for none."""
    lists = {fingerprint(grade.visible_blocks): grade.visible_blocks for grade in grades}
    known = {row.visible_blocks_id for row, _ in stored.values()}
    fresh = sorted(lists.keys() - known)  # in one order, to avoid deadlocks
    # Another process may have inserted the same list meanwhile.
    VisibleBlocks.objects.bulk_create(
        [
            VisibleBlocks(hashed=key, course_id=course.course_key, blocks_json=lists[key])
            for key in fresh
        ],
        ignore_conflicts=True,
    )
    rows = [
        PersistentSubsectionGrade(
            user_id=user_id,
            course_id=course.course_key,
            usage_key=grade.usage_key,
            subtree_edited_timestamp=course.edited_on,
            course_version=course.version,
            created=now,
            modified=now,
            **_sums(grade),
        )
        for grade in grades
    ]
    upsert(rows, key=["user_id", "course_id", "usage_key"], fields=_SUBSECTION_FIELDS)


def write_course_grade(
    row: PersistentCourseGrade | None, course: Course, grade: CourseGrade, now: datetime
) -> PersistentCourseGrade:
    """Store a computed course grade over ``row`` and return what is stored; one statement."""
    is_new = row is None
    if row is None:
        row = PersistentCourseGrade(
            user_id=grade.user_id, course_id=course.course_key, created=now, modified=now
        )
    letter = grade.letter_grade or ""
    seen = (grade.percent, letter, grade.passed)
    if is_new or (row.percent_grade, row.letter_grade, row.passed) != seen:
        row.version += 1
        row.modified = max(now, row.modified)
    row.percent_grade, row.letter_grade, row.passed = seen
    row.exact_percent = grade.exact_percent
    row.passed_timestamp = row.passed_timestamp or (now if grade.passed else None)
    row.course_edited_timestamp = course.edited_on
    row.course_version = course.version
    row.grading_policy_hash = course.policy.hash
    row.computed_at = now
    row.save(force_insert=is_new, force_update=not is_new)
    return row


def _number(row: Model, name: str) -> float:
    """Return a stored number; 0 if it is not finite, as in rows that another program wrote."""
    return _finite(row, name) or 0.0


def _finite(row: Model, name: str) -> float | None:
    value: float | None = getattr(row, name)
    if value is None or math.isfinite(value):
        return value
    log.warning("%s %s: %s is not a finite number", type(row).__name__, row.pk, name)
    return None


def _sums(grade: SubsectionGrade) -> dict[str, object]:
    return {
        "earned_all": grade.computed_all.earned,
        "possible_all": grade.computed_all.possible,
        "earned_graded": grade.computed_graded.earned,
        "possible_graded": grade.computed_graded.possible,
        "first_attempted": grade.first_attempted,
        "visible_blocks_id": fingerprint(grade.visible_blocks),
    }
