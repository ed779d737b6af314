"""CourseGradeFactory: upstream's interface to read and compute course grades."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.course_grades import persistence
from xqueue_bridge.course_grades.course_grade import CourseGrade, ZeroCourseGrade
from xqueue_bridge.course_grades.grade_update import (
    RecalculationPlan,
    StaleCourseStructure,
    compute_grade,
)
from xqueue_bridge.course_grades.models import PersistentCourseGrade
from xqueue_bridge.course_grades.recalculation import (
    recalculate,
    require_course,
    with_published_course,
)
from xqueue_bridge.course_grades.recalculation_queue import request_full_recalculations
from xqueue_bridge.course_structure.api import course_structures
from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.db.transactions import after_commit, in_callers_transaction

log = logging.getLogger(__name__)


class User(Protocol):
    """A user, of whom only the id is read."""

    pk: int


class GradeResult(NamedTuple):
    """One learner's grade, or the exception that was raised instead."""

    student: User
    course_grade: CourseGrade | None
    error: Exception | None


Result: TypeAlias = GradeResult  # the class attribute GradeResult hides the class


class CourseGradeFactory:
    """Read and compute course grades.

    Each method takes the course in one of upstream's forms: ``course`` (anything with an ``id``,
    or our Course), ``collected_block_structure`` or ``course_structure`` (our Course), or
    ``course_key``. Raises ValueError if none of them is given.
    """

    #: The type that ``iter`` yields.
    GradeResult = GradeResult

    def read(
        self,
        user: User,
        course: object = None,
        collected_block_structure: object = None,
        course_structure: object = None,
        course_key: CourseKey | None = None,
        create_if_needed: bool = True,
    ) -> CourseGrade | None:
        """Return the stored grade; one statement.

        If none is stored: a ZeroCourseGrade, or None with ``create_if_needed`` False.
        """
        key = _key_of(course, collected_block_structure, course_structure, course_key)
        row = persistence.read_course_row(user.pk, key)
        if row is not None:
            return persistence.course_grade_of(row)
        return ZeroCourseGrade(user_id=user.pk, course_key=key) if create_if_needed else None

    def update(
        self,
        user: User,
        course: object = None,
        collected_block_structure: object = None,
        course_structure: object = None,
        course_key: CourseKey | None = None,
        force_update_subsections: bool = False,
    ) -> CourseGrade:
        """Compute the grade, store the changes, send the signals after commit, return the grade.

        Stored subsection grades are not computed again, and missing ones count zero;
        ``force_update_subsections`` computes all from scores. In a transaction of the caller the
        returned grade is not stored yet: the grade is computed again, and stored, after the
        commit, unless the process is killed before. Raises UnknownCourse.
        """
        key = _key_of(course, collected_block_structure, course_structure, course_key)

        plan = _plan(force_update_subsections)

        def work(current: Course | None, reject_stale: bool) -> CourseGrade:
            found = require_course(current, key)
            if in_callers_transaction():
                return compute_grade(user.pk, found, plan, reject_stale=reject_stale).course_grade
            return recalculate(user.pk, found, plan, user=user, reject_stale=reject_stale)

        if in_callers_transaction():
            # The lock of the grade would delay the learner's scores until the caller commits, and
            # the caller's snapshot may not show the latest scores.
            after_commit(partial(_update_after_commit, key, user.pk, work))
        return with_published_course(key, work)

    def iter(
        self,
        users: Iterable[User],
        course: object = None,
        collected_block_structure: object = None,
        course_key: CourseKey | None = None,
        force_update: bool = False,
    ) -> Iterator[Result]:
        """Yield a GradeResult for each user, in their order; an exception affects its user only.

        The structure is read once. One statement reads the stored grades of ``BATCH_SIZE`` users;
        ``force_update`` computes each grade.
        """
        key = _key_of(course, collected_block_structure, None, course_key)
        if force_update:
            return self._computed(iter(users), key)
        return self._stored(iter(users), key)

    def _computed(self, users: Iterator[User], key: CourseKey) -> Iterator[Result]:
        course = _course(key)
        for user in users:
            try:
                try:
                    grade = recalculate(user.pk, course, _plan(True), user=user)
                except StaleCourseStructure:  # the course was published meanwhile
                    course = _course(key)
                    grade = recalculate(user.pk, course, _plan(True), user=user, reject_stale=False)
            except Exception as exc:
                name = type(exc).__name__
                log.warning("The grade of learner %s in %s: %s", user.pk, key, name)
                yield GradeResult(user, None, exc)
            else:
                yield GradeResult(user, grade, None)

    def _stored(self, users: Iterator[User], key: CourseKey) -> Iterator[Result]:
        for chunk in chunks(users):
            rows = PersistentCourseGrade.objects.filter(
                course_id=key, user_id__in=[user.pk for user in chunk]
            )
            found = {row.user_id: persistence.course_grade_of(row) for row in rows}
            for user in chunk:
                zero = ZeroCourseGrade(user_id=user.pk, course_key=key)
                yield GradeResult(user, found.get(user.pk, zero), None)


def _update_after_commit(
    key: CourseKey, user_id: int, work: Callable[[Course | None, bool], CourseGrade]
) -> None:
    try:
        with_published_course(key, work)
    except Exception:
        # The sweeper computes it.
        request_full_recalculations(key, [user_id])
        raise


def _course(key: CourseKey) -> Course:
    return require_course(course_structures().get(key), key)


def _plan(force: bool) -> RecalculationPlan:
    return RecalculationPlan(all_subsections=force, store_zero_grades=force)


def _key_of(*given: Any) -> CourseKey:
    """Return the key of the first given form of the course."""
    for form in given:
        if isinstance(form, CourseKey):
            return form
        if form is not None:
            return form.course_key if hasattr(form, "course_key") else form.id
    raise ValueError("Say which course: course, course_structure or course_key.")
