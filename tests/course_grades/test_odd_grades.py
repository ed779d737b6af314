"""Stored grades with numbers that are not finite, which other programs have written."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import pytest
from django.db import connection

from tests.course_grades.courses import COURSE_KEY
from tests.course_grades.factories import (
    COURSE,
    E1,
    HOMEWORK,
    P1,
    P2,
    recalculate_pending,
    score,
    stored,
)
from xqueue_bridge import api
from xqueue_bridge.course_grades.models import (
    PersistentCourseGrade,
    PersistentSubsectionGrade,
    PersistentSubsectionGradeOverride,
    PersistentSubsectionGradeOverrideHistory,
)
from xqueue_bridge.course_grades.queries import read_gradebook, read_progress
from xqueue_bridge.views.gradebook_csv import csv_lines
from xqueue_bridge.views.gradebook_rows import learners

SUMS = ("earned_all", "possible_all", "earned_graded", "possible_graded")
#: The numbers that a database's columns take: SQLite stores NaN as NULL, MySQL and MariaDB none.
NUMBERS = {"postgresql": (math.nan, math.inf, -math.inf), "sqlite": (math.inf, -math.inf)}


def stored_numbers(model: type, name: str, **where: object) -> Iterator[float]:
    """Store each number that is not finite in a column, as far as the database can."""
    for number in NUMBERS.get(connection.vendor, ()):
        assert model.objects.filter(**where).update(**{name: number})
        yield number


@pytest.fixture
def graded(ada):
    """A learner with 2 of 4 points, and 1 of 5 in an exercise."""
    score(ada, P1)
    score(ada, E1, 1, 5)
    recalculate_pending(ada)
    assert stored(ada).percent_grade == 0.5
    return ada


@pytest.mark.parametrize("name", ["percent_grade", "exact_percent"])
def test_course_grade_is_read_as_zero_and_named_in_the_log(graded, name, caplog):
    """Kind 5: pages and callers get a number, and the letter and pass that are stored."""
    factory = api.CourseGradeFactory()
    for _number in stored_numbers(PersistentCourseGrade, name):
        caplog.clear()
        found = factory.read(graded, course_key=COURSE_KEY)
        assert math.isfinite(found.percent + found.exact_percent)
        assert f"PersistentCourseGrade {stored(graded).pk}: {name}" in caplog.text
        [(_user, listed, error)] = factory.iter([graded], course_key=COURSE_KEY)
        assert (listed, error) == (found, None)
        assert read_gradebook(COURSE_KEY, [graded.pk])[graded.pk].percent == found.percent
        assert len(list(csv_lines(COURSE, learners(COURSE)))) == 2
        assert read_progress(graded.pk, COURSE).percent == found.percent


@pytest.mark.parametrize("name", SUMS)
def test_next_score_computes_a_grade_that_is_not_finite_again(graded, name, caplog):
    """Kind 5: a recalculation of another subsection repairs the row from the scores."""
    rows = PersistentSubsectionGrade.objects
    for number in stored_numbers(PersistentSubsectionGrade, name, usage_key=HOMEWORK.usage_key):
        assert math.isfinite(read_progress(graded.pk, COURSE).exact_percent)
        assert read_progress(graded.pk, COURSE).summary["percent"] == 0.5
        assert len(list(csv_lines(COURSE, learners(COURSE)))) == 2
        score(graded, E1, 2 if number > 0 else 3, 5)
        with caplog.at_level(logging.ERROR):
            assert recalculate_pending(graded)
        assert stored(graded).percent_grade == 0.5
        row = rows.get(usage_key=HOMEWORK.usage_key)
        assert [getattr(row, each) for each in SUMS] == [2, 4, 2, 4]


def test_course_grade_that_is_not_finite_is_replaced(graded):
    """Kind 5: the next computation stores a number, with a new version."""
    for _number in stored_numbers(PersistentCourseGrade, "percent_grade"):
        version = stored(graded).version
        api.CourseGradeFactory().update(graded, course_key=COURSE_KEY)
        assert (stored(graded).percent_grade, stored(graded).version) == (0.5, version + 1)


@pytest.mark.parametrize("name", SUMS)
def test_override_that_is_not_finite_counts_as_none(graded, name):
    """Kind 5: the computed points count, and the override's other points."""
    given = api.SubsectionOverride(1, 4, 1, 4, reason="late", author_id=graded.pk)
    api.set_override(graded.pk, COURSE_KEY, HOMEWORK.usage_key, given)
    expected = {"earned_graded": 0.5, "possible_graded": 0.25}.get(name, 0.25)
    for _number in stored_numbers(PersistentSubsectionGradeOverride, f"{name}_override"):
        api.CourseGradeFactory().update(graded, course_key=COURSE_KEY)
        assert stored(graded).percent_grade == expected
    history = PersistentSubsectionGradeOverrideHistory
    for _number in stored_numbers(history, f"{name}_override"):
        [entry] = api.override_history(graded.pk, COURSE_KEY)
        assert getattr(entry.override, name) is None


def test_scores_are_untouched(graded):
    """Kind 5: repairing a grade writes no score."""
    for _number in stored_numbers(PersistentSubsectionGrade, "earned_all"):
        score(graded, P2, 1, 2)
        recalculate_pending(graded)
    found = {key: api.read_score(graded.pk, key, COURSE_KEY) for key in (P1, E1)}
    assert found == {P1: api.RawScore(2, 2), E1: api.RawScore(1, 5)}
