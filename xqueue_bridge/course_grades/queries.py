"""Read stored course grades with their details, for the grade pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import chain

from django.db.models import Q, QuerySet
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_grades import persistence
from xqueue_bridge.course_grades.course_grade import (
    CourseGrade,
    SubsectionGrade,
    ZeroCourseGrade,
    compute_course,
    compute_subsection,
)
from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.db.batches import by_key
from xqueue_bridge.learner_state import api as learner_state


def read_progress(user_id: int, course: Course) -> CourseGrade:
    """Return a learner's stored grade with its breakdown and the scores of all problems.

    Three statements. Percent, letter and pass are the stored ones; if no grade is stored, the
    grade is zero, and the breakdown is computed from the scores.
    """
    row = persistence.read_course_row(user_id, course.course_key)
    stored = persistence.read_subsections(user_id, course.course_key)
    scores = learner_state.read_course_scores(user_id, course.course_key)
    grades: dict[UsageKey, SubsectionGrade] = {}
    for subsection in course.subsections:
        now = compute_subsection(subsection, scores)
        stored_row, kept = stored.get(subsection.usage_key, (None, None))
        if stored_row and kept and not persistence.has_finite_sums(stored_row):
            kept = replace(now, override=kept.override)
        grades[subsection.usage_key] = replace(kept or now, problem_scores=now.problem_scores)
    computed = compute_course(user_id, course, grades)
    return replace(
        _stored_or_zero(row, user_id, course.course_key),
        summary=computed.summary,
        subsection_grades=grades,
    )


def read_gradebook(
    course_key: CourseKey,
    user_ids: Iterable[int],
    usage_keys: Collection[UsageKey] | None = None,
) -> dict[int, CourseGrade]:
    """Return the stored grades of many learners, with those of their subsections.

    ``usage_keys``: only these subsections. Two statements, one for no subsection. Learners
    without a stored grade have a ZeroCourseGrade.
    """
    ids = list(user_ids)
    rows = PersistentCourseGrade.objects.filter(course_id=course_key, user_id__in=ids)
    found = {row.user_id: row for row in rows}
    subsections: dict[int, dict[UsageKey, SubsectionGrade]] = {user_id: {} for user_id in ids}
    details = persistence.subsection_rows(course_key).filter(user_id__in=ids)
    if usage_keys is not None:
        details = details.filter(usage_key__in=usage_keys)
    for each in details:
        grade = persistence.subsection_grade_of(each, course_key)
        subsections[each.user_id][grade.usage_key] = grade
    return {
        user_id: replace(
            _stored_or_zero(found.get(user_id), user_id, course_key),
            subsection_grades=subsections[user_id],
        )
        for user_id in ids
    }


def learners_with_grades(course_key: CourseKey) -> Iterator[int]:
    """Yield the ids of the learners with a stored course grade, in ascending order.

    One statement for each ``BATCH_SIZE`` learners.
    """
    rows = PersistentCourseGrade.objects.filter(course_id=course_key)
    return chain.from_iterable(by_key(rows.values_list("user_id", flat=True), "user_id"))


def changed_grades(
    after: tuple[datetime, int], until: datetime, limit: int
) -> list[PersistentCourseGrade]:
    """Return stored grades in the order of their last change and id; one statement.

    ``after``: time of change and id of the last grade that was read. ``until``: the latest time of
    change that is returned.
    """
    modified, grade_id = after
    behind = Q(modified__gt=modified) | Q(modified=modified, id__gt=grade_id)
    # The first filter is implied by the second; it lets the database use the index.
    rows = PersistentCourseGrade.objects.filter(modified__gte=modified, modified__lte=until)
    return list(rows.filter(behind).order_by("modified", "id")[:limit])


def stored_grades(
    *, since: datetime | None = None, course_keys: Collection[CourseKey] = ()
) -> QuerySet[PersistentCourseGrade]:
    """Return the query of stored course grades, by last change and by course."""
    rows = PersistentCourseGrade.objects.all()
    if since:
        rows = rows.filter(modified__gte=since)
    return rows.filter(course_id__in=course_keys) if course_keys else rows


def grades_by_key(keys: set[tuple[int, CourseKey]]) -> list[PersistentCourseGrade]:
    """Return the stored grades with these user ids and course keys; one statement."""
    rows = PersistentCourseGrade.objects.filter(
        user_id__in={user_id for user_id, _ in keys}, course_id__in={key for _, key in keys}
    )
    return [row for row in rows if (row.user_id, row.course_id) in keys]


def _stored_or_zero(
    row: PersistentCourseGrade | None, user_id: int, course_key: CourseKey
) -> CourseGrade:
    if row is None:
        return ZeroCourseGrade(user_id=user_id, course_key=course_key)
    return persistence.course_grade_of(row)
