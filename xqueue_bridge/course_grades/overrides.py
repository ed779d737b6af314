"""Overrides of subsection grades by the course team, with reason, author and history."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db.models import QuerySet
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_grades import recalculation_queue
from xqueue_bridge.course_grades.course_grade import (
    CourseGrade,
    SubsectionOverride,
    compute_subsection,
)
from xqueue_bridge.course_grades.grade_update import RecalculationPlan, compute_grade
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
from xqueue_bridge.course_structure.api import course_structures
from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.merge import upsert
from xqueue_bridge.db.transactions import after_commit, in_callers_transaction, in_transaction
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms.keys import with_run

History = PersistentSubsectionGradeOverrideHistory
Action = History.Action

log = logging.getLogger(__name__)

MAX_REASON = 300
MAX_POINTS = 1_000_000
#: A smaller maximum would be shown as 0, and one point of it as a huge percent.
LEAST_POSSIBLE = 0.01
#: An override that is pending for less time may still be applied by its own process.
PENDING_GRACE = timedelta(seconds=60)
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
    In a transaction of the caller, a history entry is stored, and the override counts from the
    commit on. Raises InvalidField (invalid points, no reason, no author), UnknownCourse, and
    LookupError if the course does not have the subsection.
    """
    _check(override)
    return _change(user_id, course_key, usage_key, Action.SET, override)


def remove_override(
    user_id: int, course_key: CourseKey, usage_key: UsageKey, *, author_id: int, reason: str
) -> CourseGrade:
    """Remove the override of a learner's subsection grade; return the new course grade.

    Raises what ``set_override`` raises. Removing an absent override adds a history entry.
    """
    removal = SubsectionOverride(reason=reason, author_id=author_id)
    _check(removal)
    return _change(user_id, course_key, usage_key, Action.REMOVED, removal)


def apply_pending_overrides(limit: int = 100) -> int:
    """Apply overrides that were stored in a host's transaction and not applied after its commit.

    For the sweeper. Returns for how many learners and courses.
    """
    rows = History.objects.filter(pending_since__lte=database_now() - PENDING_GRACE)
    keys = set(rows.order_by("pending_since").values_list("user_id", "course_id")[:limit])
    for user_id, course_key in keys:
        try:
            _apply_pending(user_id, course_key)
        except Exception as exc:  # one learner's error must not stop the other learners' overrides
            name = type(exc).__name__
            log.exception("The overrides of learner %s in %s: %s", user_id, course_key, name)
            # Those that have waited longer come first in the next sweep.
            _pending(user_id, course_key).update(pending_since=database_now())
    return len(keys)


def override_history(user_id: int, course_key: CourseKey) -> Iterator[OverrideEntry]:
    """Yield the overrides of a learner's grades in a course and their removals, newest first."""
    rows = History.objects.filter(user_id=user_id, course_id=course_key)
    for row in rows.order_by("-id").iterator(chunk_size=500):
        usage_key = with_run(row.usage_key, course_key)
        yield OverrideEntry(usage_key, row.action, override_of(row), row.created)


def _change(
    user_id: int,
    course_key: CourseKey,
    usage_key: UsageKey,
    action: Action,
    override: SubsectionOverride,
) -> CourseGrade:
    course = require_course(course_structures().get(course_key), course_key)
    if usage_key not in {each.usage_key for each in course.subsections}:
        raise LookupError(f"{usage_key} is no subsection of {course_key}.")
    now = database_now()
    entry = History(
        user_id=user_id,
        course_id=course_key,
        usage_key=usage_key,
        action=action,
        created=now,
        pending_since=now,
        **_columns(override),
    )
    if not in_callers_transaction():
        return _apply_pending(user_id, course_key, entry)
    # The lock of the grade would delay the learner's scores until the caller commits.
    entry.save()
    after_commit(partial(_apply_pending, user_id, course_key))
    plan = RecalculationPlan(frozenset(_blocks_of(course, usage_key)), all_if_first_grade=True)
    current = None if action == Action.REMOVED else override
    computed = compute_grade(
        user_id, course, plan, reject_stale=False, overrides={usage_key: current}
    )
    return computed.course_grade


def _apply_pending(
    user_id: int, course_key: CourseKey, entry: History | None = None
) -> CourseGrade:
    """Apply a new history entry, and those that are pending, in their order; store the grade."""

    def with_course(current: Course | None, reject_stale: bool) -> CourseGrade:
        course = require_course(current, course_key)

        def work() -> CourseGrade:
            recalculation_queue.locked_row_or_new(user_id, course_key)
            pending = _pending(user_id, course_key)
            entries = list(pending.order_by("pk"))
            if entry is not None:
                entry.pk, entry.pending_since = None, None
                entry.save()
                entries.append(entry)
            known = {each.usage_key for each in course.subsections}
            for each in entries:
                usage_key = with_run(each.usage_key, course_key)
                if usage_key in known:
                    _write(user_id, course, usage_key, each)
            pending.update(pending_since=None)
            plan = RecalculationPlan(all_if_first_grade=True)
            return recalculate(user_id, course, plan, reject_stale=reject_stale)

        return in_transaction(work)

    return with_published_course(course_key, with_course)


def _pending(user_id: int, course_key: CourseKey) -> QuerySet[History]:
    rows = History.objects.filter(user_id=user_id, course_id=course_key)
    return rows.exclude(pending_since=None)


def _write(user_id: int, course: Course, usage_key: UsageKey, entry: History) -> None:
    """Set or remove the override that a history entry says."""
    grade_id, now = _grade_id(user_id, course, usage_key), database_now()
    if entry.action == Action.REMOVED:
        PersistentSubsectionGradeOverride.objects.filter(grade_id=grade_id).delete()
        return
    row = PersistentSubsectionGradeOverride(
        grade_id=grade_id, created=now, modified=now, **_columns(override_of(entry))
    )
    upsert([row], key=["grade"], fields=[*_FIELDS, "modified"])


def _blocks_of(course: Course, usage_key: UsageKey) -> Iterator[UsageKey]:
    for subsection in course.subsections:
        if subsection.usage_key == usage_key:
            yield from (block.usage_key for block in subsection.blocks)


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
        write_subsections(user_id, course, [grade], {}, database_now())
        found = rows.get()
    return found


def _columns(override: SubsectionOverride) -> dict[str, object]:
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
