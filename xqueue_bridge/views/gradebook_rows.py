"""Learners of a course in the requested order, with their stored grades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xqueue_bridge.course_grades.course_grade import CourseGrade, SubsectionGrade
from xqueue_bridge.course_grades.course_recalculation import learners_of
from xqueue_bridge.course_grades.queries import read_gradebook
from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.views.learners import Learner, learners_by_id

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
    def earned(self) -> float | None:
        return self.grade.graded_total.earned if self.grade else None

    @property
    def possible(self) -> float | None:
        return self.grade.graded_total.possible if self.grade else None

    @property
    def rank(self) -> float:
        """The sort key; an empty cell sorts below 0 %."""
        return -1.0 if self.is_empty or self.grade is None else self.grade.percent_graded


@dataclass(frozen=True, slots=True)
class GradebookRow:
    """One learner's row of the gradebook."""

    learner: Learner
    grade: CourseGrade
    cells: tuple[Cell, ...]


def graded_subsections(course: Course) -> tuple[Subsection, ...]:
    """Return the graded subsections, in the order of the course."""
    return tuple(each for each in course.subsections if each.graded)


def sort_keys(course: Course) -> tuple[str, ...]:
    """Return the sort keys of ``learners``: name, total, or a column's number, from 1."""
    numbers = range(1, len(graded_subsections(course)) + 1)
    return (BY_NAME, BY_TOTAL, *map(str, numbers))


def learners(
    course: Course, *, sort: str = BY_NAME, descending: bool = False, search: str = ""
) -> list[Learner]:
    """Return all learners with a score or a grade, or those whose names contain ``search``.

    Three statements for each 500 learners; at most two more if they are sorted by a grade.
    """
    wanted = search.casefold()
    found = [
        each
        for each in learners_by_id(list(learners_of(course.course_key)))
        if wanted in f"{each.full_name} {each.username} {each.user_id}".casefold()
    ]
    found.sort(key=lambda each: (each.name.casefold(), each.user_id))
    if sort == BY_NAME:
        return found[::-1] if descending else found
    column = () if sort == BY_TOTAL else (graded_subsections(course)[int(sort) - 1],)
    ranks = {row.learner.user_id: _rank(row) for row in rows(course, found, column)}
    # The sort is stable in both directions: learners with equal grades stay ordered by name.
    return sorted(found, key=lambda each: ranks[each.user_id], reverse=descending)


def rows(
    course: Course, wanted: Sequence[Learner], only: Sequence[Subsection] | None = None
) -> Iterator[GradebookRow]:
    """Yield the rows of these learners, in this order; two statements for each ``BATCH_SIZE``.

    ``only``: read and return these columns only.
    """
    shown = graded_subsections(course) if only is None else only
    keys = None if only is None else [each.usage_key for each in only]
    for batch in chunks(wanted):
        grades = read_gradebook(course.course_key, [each.user_id for each in batch], keys)
        for learner in batch:
            grade = grades[learner.user_id]
            cells = tuple(Cell(each, grade.subsection_grade(each.usage_key)) for each in shown)
            yield GradebookRow(learner, grade, cells)


def _rank(row: GradebookRow) -> float:
    return row.cells[0].rank if row.cells else row.grade.exact_percent
