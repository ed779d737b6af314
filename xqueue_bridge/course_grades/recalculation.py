"""Compute one learner's course grade from scores, under the lock of the learner and the course.

Scores are read inside the lock, so the last recalculation has read every committed score. Eleven
statements and a lock, whatever the size of the course; unchanged rows are not written. Two if no
structure of the course is known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_grades import recalculation_queue
from xqueue_bridge.course_grades.course_grade import CourseGrade
from xqueue_bridge.course_grades.grade_update import (
    RecalculationPlan,
    StaleCourseStructure,
    compute_grade,
    store_grade,
)
from xqueue_bridge.course_structure.api import course_structures
from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.data import BlockScore
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.exceptions import XQueueBridgeError
from xqueue_bridge.log_fields import LogFields
from xqueue_bridge.tracing import annotate, traced

#: How often a course that is published meanwhile is read before the work is left to the sweeper.
MAX_READINGS = 6

log = logging.getLogger(__name__)

T = TypeVar("T")


class UnknownCourse(XQueueBridgeError):
    """No structure is known of this course."""


def recalculate(
    user_id: int,
    course: Course,
    plan: RecalculationPlan,
    *,
    user: object = None,
    reject_stale: bool = True,
) -> CourseGrade:
    """Compute a learner's course grade, store the changes, and send signals after commit.

    Raises StaleCourseStructure, with ``reject_stale``, if the stored grade may come from a later
    publication.
    """

    def work() -> CourseGrade:
        row = recalculation_queue.locked_row_or_new(user_id, course.course_key)
        computed = compute_grade(user_id, course, plan, reject_stale=reject_stale)
        if computed.is_retired:
            row.delete()
            return computed.course_grade
        return store_grade(computed, user)

    return in_transaction(work)


@traced("recalculate_grade")
def recalculate_requested(
    user_id: int, course_key: CourseKey, *, debounce: bool = False, seen: int | None = None
) -> bool:
    """Process what ``request_recalculation`` has marked dirty; return whether there was any.

    ``debounce``: defer to the sweeper if the learner's grade was computed within the delay, so
    that a burst of scores is two recalculations. ``seen``: the row's ``wanted``, if the caller has
    read it; the course is read after it, so it contains what was published before. A failed
    attempt is recorded and retried later.

    Safe in several processes at once.
    """
    annotate(LogFields(user_id=user_id, course_key=course_key))
    reject_stale = True
    try:
        for _ in range(MAX_READINGS):
            course = course_structures().get(course_key)  # outside any transaction
            if course is None and recalculation_queue.finish_without_structure(
                [user_id], course_key
            ):
                return True
            work = partial(_process, user_id, course_key, debounce, seen, course, reject_stale)
            try:
                done = in_transaction(work)
            except StaleCourseStructure:
                # It may have been published meanwhile, or reset to an earlier publication.
                reject_stale = False
                continue
            if isinstance(done, bool):
                return done
            seen, reject_stale = done, True
    except Exception as exc:  # one learner's error must not stop the other learners' grades
        name = type(exc).__name__
        log.exception("The grade of learner %s in %s: %s", user_id, course_key, name)
        recalculation_queue.record_failure(user_id, course_key, name)
    return True


def recalculate_learners(learners: Iterable[tuple[int, str]], *, debounce: bool = False) -> None:
    """Process the marked changes of learners, each with a course id, as one by one.

    Two statements for all learners of a course whose structure is not known.
    """
    by_course: dict[str, dict[int, int | None]] = {}
    for user_id, course_id in learners:
        by_course.setdefault(course_id, {})[user_id] = None
    for course_id, wanted in by_course.items():
        _recalculate(CourseKey.from_string(course_id), wanted, debounce)


def recalculate_due(limit: int = 100) -> int:
    """Process due recalculations, longest overdue first; return how many were examined."""
    found = recalculation_queue.due(limit)
    by_course: dict[CourseKey, dict[int, int | None]] = {}
    for user_id, course_key, wanted in found:
        by_course.setdefault(course_key, {})[user_id] = wanted
    for course_key, seen in by_course.items():
        _recalculate(course_key, seen)
    return len(found)


def _recalculate(
    course_key: CourseKey, wanted: Mapping[int, int | None], debounce: bool = False
) -> None:
    """Process the changes of learners of one course, who are mapped to ``seen``."""
    if len(wanted) > 1 and _finish_without_structure(list(wanted), course_key):
        return
    for user_id, seen in wanted.items():
        recalculate_requested(user_id, course_key, debounce=debounce, seen=seen)


def _finish_without_structure(user_ids: Sequence[int], course_key: CourseKey) -> bool:
    """Finish all of the learners at once; return False if each has to be processed alone."""
    try:
        if course_structures().get(course_key) is not None:
            return False
        done = recalculation_queue.finish_without_structure(user_ids, course_key)
    except Exception:  # recorded for the learner whose attempt fails
        return False
    return done == len(user_ids)


def with_published_course(course_key: CourseKey, work: Callable[[Course | None, bool], T]) -> T:
    """Call ``work`` with the currently published course, outside any transaction of the bridge.

    If ``work`` finds grades of a later publication, it is called once more and then has to use
    the course as it is, because a course can be reset to an earlier publication.
    """
    try:
        return work(course_structures().get(course_key), True)
    except StaleCourseStructure:
        return work(course_structures().get(course_key), False)


def require_course(course: Course | None, course_key: CourseKey) -> Course:
    """Return the course, or raise UnknownCourse."""
    if course is None:
        raise UnknownCourse(f"No structure of {course_key} is known.")
    return course


def is_frozen(course: Course) -> bool:
    """Return whether the course has ended and its grades do not change any more."""
    days = options().GRADE_FREEZE_DAYS
    if days is None or course.end is None:
        return False
    # Subtract from now: adding to the course's end could exceed the maximum date.
    return course.end < database_now() - timedelta(days=days)


def _process(
    user_id: int,
    course_key: CourseKey,
    debounce: bool,
    seen: int | None,
    course: Course | None,
    reject_stale: bool,
) -> bool | int:
    """Process the marked changes; return whether there were any.

    Return ``wanted`` of the row if the course has to be read again, and pass it as ``seen`` then.
    """
    row = recalculation_queue.locked_row(user_id, course_key)
    if row is None or row.done == row.wanted:
        return False
    rest = timedelta(seconds=options().RECALCULATE_GRADE_DELAY_SECONDS)
    if debounce and row.finished_at and database_now() < row.finished_at + rest:
        return False
    changes = recalculation_queue.pending_changes(row)
    if changes.all_subsections and row.wanted != seen:
        # Perhaps marked after the course was read, because it was published.
        return int(row.wanted)
    if course is None or is_frozen(course):
        recalculation_queue.finish(
            row, recalculation_queue.NO_STRUCTURE if course is None else "frozen"
        )
        return True
    # At the first grade: scores may be older than the course's structure or than this table.
    plan = RecalculationPlan(
        frozenset(changes.versions), changes.all_subsections, all_if_first_grade=True
    )
    computed = compute_grade(user_id, course, plan, reject_stale=reject_stale)
    if computed.is_retired:
        row.delete()
        return True
    store_grade(computed)
    unseen = _unseen(changes, computed.scores)
    if not unseen:
        recalculation_queue.finish(row)
        return True
    # The scores that are seen count at once: a row of StudentModule may have been deleted.
    usage_key, version = next(iter(unseen.items()))
    error = f"Version {version} of the score at {usage_key} is not seen."
    waiting = recalculation_queue.PendingChanges(unseen, all_subsections=False)
    recalculation_queue.keep_pending(row, waiting, error)
    return True


def _unseen(
    changes: recalculation_queue.PendingChanges, scores: Mapping[UsageKey, BlockScore]
) -> dict[UsageKey, int]:
    """Return the marked scores whose commit the database does not show yet, with the versions."""
    return {
        usage_key: version
        for usage_key, version in changes.versions.items()
        if version and ((found := scores.get(usage_key)) is None or found.version < version)
    }
