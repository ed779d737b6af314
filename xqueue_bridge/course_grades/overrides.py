"""Overrides of subsection grades by the course team, with reason, author and history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, cast

from django.utils import timezone
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_grades import recalculation_queue
from xqueue_bridge.course_grades.course_grade import CourseGrade
from xqueue_bridge.course_grades.grade_update import RecalculationPlan
from xqueue_bridge.course_grades.models import (
    PersistentSubsectionGrade,
    PersistentSubsectionGradeOverride,
    PersistentSubsectionGradeOverrideHistory,
)
from xqueue_bridge.course_grades.persistence import override_of, write_subsections
from xqueue_bridge.course_grades.recalculation import (
    recalculate,
    require_course,
    with_published_course,
)
from xqueue_bridge.course_grades.subsection_grade import SubsectionOverride, compute_subsection
from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.db.upsert import upsert
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms.keys import with_run

Action = PersistentSubsectionGradeOverrideHistory.Action

MAX_REASON = 300
MAX_POINTS = 1_000_000
#: A smaller maximum would be shown as 0, and one point of it as a huge percent.
LEAST_POSSIBLE = 0.01
_POINTS = ("earned_all", "possible_all", "earned_graded", "possible_graded")
_FIELDS = (*(f"{name}_override" for name in _POINTS), "system", "override_reason", "author_id")


@dataclass(frozen=True, slots=True)
class OverrideEntry:
    """One history entry: the override that was set or removed, and when."""

    usage_key: UsageKey
    action: str
    override: SubsectionOverride
    created: datetime


def set_override(
    user_id: int, course_key: CourseKey, usage_key: UsageKey, override: SubsectionOverride
) -> CourseGrade:
    """Set an override, which counts instead of the computed grade of a learner's subsection.

    Returns the new course grade. The override counts until it is removed; recalculation keeps it.
    Raises InvalidField (invalid points, no reason, no author), UnknownCourse, and LookupError if
    the course does not have the subsection.
    """
    _check(override)

    def write(grade_id: int, now: datetime) -> SubsectionOverride:
        row = PersistentSubsectionGradeOverride(
            grade_id=grade_id, created=now, modified=now, **_columns(override)
        )
        upsert([row], key=["grade"], fields=[*_FIELDS, "modified"])
        return override

    return _change(user_id, course_key, usage_key, Action.SET, write)


def remove_override(
    user_id: int, course_key: CourseKey, usage_key: UsageKey, *, author_id: int, reason: str
) -> CourseGrade:
    """Remove the override of a learner's subsection grade; return the new course grade.

    Raises what ``set_override`` raises. Removing an absent override adds a history entry.
    """
    removal = SubsectionOverride(reason=reason, author_id=author_id)
    _check(removal)

    def write(grade_id: int, now: datetime) -> SubsectionOverride:
        PersistentSubsectionGradeOverride.objects.filter(grade_id=grade_id).delete()
        return removal

    return _change(user_id, course_key, usage_key, Action.REMOVED, write)


def override_history(user_id: int, course_key: CourseKey) -> Iterator[OverrideEntry]:
    """Yield the overrides of a learner's grades in a course and their removals, newest first."""
    rows = PersistentSubsectionGradeOverrideHistory.objects.filter(
        user_id=user_id, course_id=course_key
    )
    for row in rows.order_by("-id").iterator(chunk_size=500):
        usage_key = with_run(cast(UsageKey, row.usage_key), course_key)
        yield OverrideEntry(usage_key, row.action, override_of(row), row.created)


def _change(
    user_id: int, course_key: CourseKey, usage_key: UsageKey, action: Action, write: Any
) -> CourseGrade:
    def with_course(current: Course | None, reject_stale: bool) -> CourseGrade:
        course = require_course(current, course_key)
        if usage_key not in {each.usage_key for each in course.subsections}:
            raise LookupError(f"{usage_key} is no subsection of {course_key}.")

        def work() -> CourseGrade:
            recalculation_queue.locked_row_or_new(user_id, course_key)
            now = timezone.now()
            written = write(_grade_id(user_id, course, usage_key), now)
            PersistentSubsectionGradeOverrideHistory.objects.create(
                user_id=user_id,
                course_id=course_key,
                usage_key=usage_key,
                action=action,
                created=now,
                **_columns(written),
            )
            plan = RecalculationPlan(all_if_first_grade=True)
            return recalculate(user_id, course, plan, reject_stale=reject_stale)

        return in_transaction(work)

    return with_published_course(course_key, with_course)


def _grade_id(user_id: int, course: Course, usage_key: UsageKey) -> int:
    """Return the id of the stored subsection grade; compute the grade first if there is none."""
    rows = PersistentSubsectionGrade.objects.filter(
        user_id=user_id, course_id=course.course_key, usage_key=usage_key
    ).values_list("pk", flat=True)
    found = rows.first()
    if found is None:
        scores = learner_state.read_course_scores(user_id, course.course_key)
        subsection = next(each for each in course.subsections if each.usage_key == usage_key)
        grade = compute_subsection(subsection, scores)
        write_subsections(user_id, course, [grade], {}, timezone.now())
        found = rows.get()
    return found


def _columns(override: SubsectionOverride) -> dict[str, Any]:
    values = asdict(override)
    points = {f"{name}_override": values[name] for name in _POINTS}
    return points | {
        "system": override.system,
        "override_reason": override.reason,
        "author_id": override.author_id,
    }


def _check(override: SubsectionOverride) -> None:
    for name in _POINTS:
        value = getattr(override, name)
        if value is None:
            continue
        if not 0 <= value <= MAX_POINTS:
            raise InvalidField(name, f"must be a number of points from 0 to {MAX_POINTS:,}")
        if name.startswith("possible") and 0 < value < LEAST_POSSIBLE:
            raise InvalidField(name, f"must be 0, or {LEAST_POSSIBLE} at least")
    if not override.reason.strip() or len(override.reason) > MAX_REASON:
        raise InvalidField("reason", f"must be given, in {MAX_REASON} characters at most")
    if override.author_id is None:
        raise InvalidField("author_id", "must be given")
