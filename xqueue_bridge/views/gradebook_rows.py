"""Learners of a course in the requested order, with their stored grades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xqueue_bridge.course_grades.course_grade import CourseGrade
from xqueue_bridge.course_grades.course_recalculation import learners_of
from xqueue_bridge.course_grades.queries import read_gradebook
from xqueue_bridge.course_grades.subsection_grade import SubsectionGrade
from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.views.common import BATCH, Learner, learners_by_id, points

BY_NAME = "name"
BY_TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Cell:
    """One learner's grade in one subsection; ``grade`` is None if no grade is stored."""

    subsection: Subsection
    grade: SubsectionGrade | None

    @property
    def is_empty(self) -> bool:
        """Whether the learner never tried the subsection and has no override."""
        return self.grade is None or not (self.grade.attempted or self.grade.override)

    @property
    def is_overridden(self) -> bool:
        return self.grade is not None and self.grade.override is not None

    @property
    def earned(self) -> str:
        return points(self.grade.graded_total.earned) if self.grade else ""

    @property
    def possible(self) -> str:
        return points(self.grade.graded_total.possible) if self.grade else ""

    @property
    def rank(self) -> float:
        """The sort key; an empty cell sorts below 0 %."""
        return -1.0 if self.is_empty or self.grade is None else self.grade.percent_graded


@dataclass(frozen=True, slots=True)
class Line:
    """One learner's row of the gradebook."""

    learner: Learner
    grade: CourseGrade
    cells: tuple[Cell, ...]


def columns(course: Course) -> tuple[Subsection, ...]:
    """Return the graded subsections, in the order of the course."""
    return tuple(each for each in course.subsections if each.graded)


def sort_keys(course: Course) -> tuple[str, ...]:
    """Return the sort keys of ``learners``: name, total, or a column's number, from 1."""
    return (BY_NAME, BY_TOTAL, *(str(n) for n, _ in enumerate(columns(course), 1)))


def learners(
    course: Course, *, sort: str = BY_NAME, descending: bool = False, find: str = ""
) -> list[Learner]:
    """Return all learners with a score or a grade, or those whose names contain ``find``.

    Three statements for each 500 learners; at most two more if they are sorted by a grade.
    """
    everybody = learners_by_id(list(learners_of(course.course_key)))
    wanted = find.casefold()
    found = [
        each
        for each in everybody
        if wanted in f"{each.full_name} {each.username} {each.user_id}".casefold()
    ]
    found.sort(key=lambda each: (each.name.casefold(), each.user_id))
    if sort == BY_NAME:
        return found[::-1] if descending else found
    column = () if sort == BY_TOTAL else (columns(course)[int(sort) - 1],)
    ranks = {line.learner.user_id: _rank(line) for line in lines(course, found, column)}
    # The sort is stable in both directions: learners with equal grades stay ordered by name.
    return sorted(found, key=lambda each: ranks[each.user_id], reverse=descending)


def lines(
    course: Course, wanted: Sequence[Learner], only: Sequence[Subsection] | None = None
) -> Iterator[Line]:
    """Yield the rows of these learners, in this order; two statements for each 500.

    ``only``: read and return these columns only.
    """
    shown = columns(course) if only is None else only
    keys = None if only is None else [each.usage_key for each in only]
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        grades = read_gradebook(course.course_key, [each.user_id for each in batch], keys)
        for learner in batch:
            grade = grades[learner.user_id]
            cells = tuple(Cell(each, grade.subsection_grade(each.usage_key)) for each in shown)
            yield Line(learner, grade, cells)


def _rank(line: Line) -> float:
    return line.cells[0].rank if line.cells else line.grade.exact_percent
