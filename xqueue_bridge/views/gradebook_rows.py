"""Learners of a course, by name, with their stored grades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xqueue_bridge.course_grades.course_grade import CourseGrade, SubsectionGrade
from xqueue_bridge.course_grades.course_recalculation import learners_of
from xqueue_bridge.course_grades.queries import read_gradebook
from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.views.learners import Learner, learners_by_id


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


def learners(course: Course, search: str = "") -> list[Learner]:
    """Return the learners with a score or a grade whose names contain ``search``, by name.

    Three statements for each 500 learners.
    """
    wanted = search.casefold()
    found = [
        each
        for each in learners_by_id(list(learners_of(course.course_key)))
        if wanted in f"{each.full_name} {each.username} {each.user_id}".casefold()
    ]
    return sorted(found, key=lambda each: (each.name.casefold(), each.user_id))


def ranks(
    course: Course, wanted: Sequence[Learner], column: tuple[Subsection, ...]
) -> dict[int, float]:
    """Return the sort keys by the column of one subsection, or by the total; by user id.

    Two statements at most for each 500 learners.
    """
    found = rows(course, wanted, column)
    return {
        row.learner.user_id: row.cells[0].rank if row.cells else row.grade.exact_percent
        for row in found
    }


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
