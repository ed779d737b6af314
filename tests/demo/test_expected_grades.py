"""The demo's own computation of course grades, and its comparison with stored grades."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from demo import load_test_grades
from demo.course import OLX, course
from demo.expected_grades import Expected, expected_grade
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.learner_state import student_module as learner_state

FULL = {problem.url_name: sum(problem.points) for problem in course().problems}


@pytest.mark.parametrize(
    ("earned", "percent", "letter"),
    [
        ({}, 0, None),
        (FULL, 100, "A"),
        # The lowest of three homeworks is dropped.
        (FULL | {"temperature": 0}, 100, "A"),
        # Two homeworks of three have scores, and the project has none.
        (FULL | {"primes": 0}, 60, "C"),
        # Warm-up: 2 of 2 by weight, 0 of 4: a third of it, and half of 60 % is a homework.
        ({"fizzbuzz": 1}, 10, None),
        # 2 of 3 in the project, 66.67 % of 40 %: 26.668, which is 27.
        ({"primes": 2}, 27, None),
        # A weight of 3 for 2 points, in 5: 1.5 of 5 is 30 %, half of 60 % of it.
        ({"caesar": 1}, 9, None),
        ({"temperature": 2, "wordcount": 2, "caesar": 2}, 60, "C"),
    ],
)
def test_expected_grade(earned: dict[str, int], percent: int, letter: str | None) -> None:
    assert expected_grade(course(), earned) == Expected(percent, letter, letter is not None)


@pytest.fixture
def learner(db) -> User:
    return User.objects.create(username="learner-01")


def score(learner: User, url_name: str, earned: int, possible: int) -> None:
    problem = course().by_url_name(url_name)
    learner_state.set_score(learner.pk, course().key, problem.usage_key, earned, possible)


def wrong(learner: User, expected: Expected) -> list[str]:
    found = load_test_grades.stored_grades([learner])
    return list(load_test_grades.check_grades({learner: expected}, found))


def test_wrong_stored_grade_is_found(learner, capsys) -> None:
    course_structure.publish(course_structure.read_course(OLX))
    score(learner, "primes", 2, 3)
    assert "1 course grades are still out of date" in wrong(learner, Expected(27, None, False))
    load_test_grades.wait_for_grades(0)
    course_grades.recalculate_requested(learner.pk, course().key)
    assert wrong(learner, Expected(27, None, False)) == []
    (problem,) = wrong(learner, Expected(28, None, False))
    assert problem.startswith("learner-01: course grade Expected(percent=28")
    load_test_grades.report_grades(load_test_grades.stored_grades([learner]))
    assert "course grades  1 learners: 0 A, 0 B, 0 C, 1 none; 0 passed" in capsys.readouterr().out


def test_missing_grade_is_found(learner) -> None:
    (problem,) = wrong(learner, Expected(0, None, False))
    assert problem.endswith("None found")
