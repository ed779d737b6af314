"""Fixtures: a published course and a learner."""

from tests.course_grades.conftest import ada, by_workers, committed_ada, committed_course, course

__all__ = ["ada", "by_workers", "committed_ada", "committed_course", "course"]
