"""All learners of a course at once: who they are, and having all their grades computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import groupby, islice

from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.persistent_grades import requests
from xqueue_bridge.persistent_grades.reading import learners_with_grades

BATCH = 500


def learners_of(course_key: CourseKey) -> Iterator[int]:
    """Yield the ids of all learners who have a score or a grade in the course, in order."""
    scored = _pages(learner_state.learners_with_scores, course_key)
    graded = _pages(learners_with_grades, course_key)
    return (user_id for user_id, _ in groupby(merge(scored, graded)))


def request_course(course_key: CourseKey) -> int:
    """Note that all grades in the course are out of date; return how many learners there are.

    Whoever looks first computes them: the sweeper, or the command. Two statements for each
    ``BATCH`` learners, and two more to find them.
    """
    learners = learners_of(course_key)
    count = 0
    while chunk := list(islice(learners, BATCH)):
        requests.request_everything(course_key, chunk)
        count += len(chunk)
    return count


def _pages(page: Callable[..., list[int]], course_key: CourseKey) -> Iterator[int]:
    after = 0
    while found := page(course_key, after=after, limit=BATCH):
        yield from found
        after = found[-1]
