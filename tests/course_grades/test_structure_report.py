"""The report about a course structure: its lines, and what is probably a mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.course_grades.courses import HOMEWORK, block, course, policy, subsection
from xqueue_bridge.course_grades.structure_report import summary, warnings


def homework(number: int, *points: float | None, **fields):
    blocks = [block(f"h{number}_{n}", value) for n, value in enumerate(points)]
    return subsection(f"homework_{number}", *blocks, display_name=f"Homework {number}", **fields)


def homeworks(count: int) -> list:
    return [homework(number, 1) for number in range(count)]


def test_summary_says_what_is_graded_and_how():
    quiz = {**HOMEWORK, "min_count": 2, "drop_count": 1, "weight": 0.25}
    found = course(
        homework(1, 2, None),
        homework(2, 1.5, format=None),
        homework(3, 1, graded=False),
        grading=policy(quiz, A=0.9, Pass=0.6),
    )
    assert list(summary(found)) == [
        "course-v1:DemoX+GRADES+2026  Grades",
        "  Homework 1 (Homework): 2 points in 2 blocks, 1 with points that only the block knows",
        "  Homework 2 (no format): 1.5 points in 1 block",
        "  Homework 3 (not graded): 1 points in 1 block",
        "1 chapter, 3 subsections (2 graded), 4 blocks",
        "Homework: 25% of the grade, 2 expected, the 1 lowest dropped",
        "cutoffs: A from 90%, Pass from 60%",
    ]
    assert next(summary(replace(found, display_name=""))) == "course-v1:DemoX+GRADES+2026"


@pytest.mark.parametrize(
    ("subsections", "types", "expected"),
    [
        ([homework(1, 1)], [HOMEWORK], []),
        (
            [homework(1, 1), homework(2, None), homework(3, 1, format="Exam")],
            [HOMEWORK],
            [
                "'Homework 2' is graded, but nothing in it is known to have points",
                "'Homework 3' is graded, but 'Exam' is no assignment type of the policy",
            ],
        ),
        ([homework(1, None, graded=False)], [{**HOMEWORK, "min_count": 0}], []),
        (
            [homework(1, 1, graded=False), homework(2, 1), homework(3, None)],
            [HOMEWORK],
            ["'Homework 3' is graded, but nothing in it is known to have points"],
        ),
        (
            homeworks(1),
            [{**HOMEWORK, "min_count": 3}],
            ["2 of 3 Homework are not there, and count as 0"],
        ),
        (homeworks(3), [{**HOMEWORK, "drop_count": 2}], []),
        (
            homeworks(2),
            [{**HOMEWORK, "drop_count": 2}],
            ["every Homework is dropped, so all of them count as 0"],
        ),
        (homeworks(1), [{**HOMEWORK, "weight": 0.9}], ["the weights add up to 90%"]),
        (
            homeworks(1),
            [HOMEWORK, {**HOMEWORK, "type": "Extra", "weight": 0.5, "min_count": 0}],
            ["the weights add up to 150%"],
        ),
    ],
)
def test_probable_mistakes_are_named(subsections, types, expected):
    assert list(warnings(course(*subsections, grading=policy(*types)))) == expected


def test_rounding_errors_of_weights_are_no_mistake():
    tenths = [
        {**HOMEWORK, "type": f"type {n}", "weight": 0.1, "min_count": 0, "drop_count": 0}
        for n in range(10)
    ]
    assert list(warnings(course(grading=policy(*tenths)))) == []
