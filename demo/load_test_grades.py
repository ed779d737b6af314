"""Wait for the learners' course grades at the end of a run, compare and print them."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User

from demo.course import course
from demo.expected_grades import Expected, expected_grade
from xqueue_bridge.course_grades import api as course_grades

#: Learners whose grades are printed one by one.
SHOWN = 5


def wait_for_grades(seconds: float) -> None:
    """Wait until no grade is dirty, or until ``seconds`` have passed."""
    deadline = time.monotonic() + seconds
    while course_grades.unfinished(course().key) and time.monotonic() < deadline:
        time.sleep(0.2)


def expected_grades(answers: Sequence[Any]) -> dict[User, Expected]:
    """Return each learner's expected grade for the answers (``load_test.Answer``)."""
    earned: dict[User, dict[str, int]] = defaultdict(dict)
    for answer in answers:
        earned[answer.learner][answer.problem.url_name] = sum(answer.sample["scores"])
    return {learner: expected_grade(course(), points) for learner, points in earned.items()}


def stored_grades(learners: Sequence[User]) -> dict[User, Expected | None]:
    """Return each learner's stored grade, or None."""
    found = course_grades.CourseGradeFactory().iter(learners, course_key=course().key)
    grades = {result.student: result.course_grade for result in found}
    return {
        learner: Expected(round(grade.percent * 100), grade.letter_grade, grade.passed)
        if grade and grade.attempted
        else None
        for learner, grade in grades.items()
    }


def check_grades(
    expected: Mapping[User, Expected], found: Mapping[User, Expected | None]
) -> Iterator[str]:
    """Yield each difference between expected and stored course grades."""
    late = course_grades.unfinished(course().key)
    if late:
        yield f"{len(late)} course grades are still out of date"
    for learner, grade in expected.items():
        if found.get(learner) != grade:
            yield f"{learner.username}: course grade {grade} expected, {found.get(learner)} found"


def report_grades(found: Mapping[User, Expected | None]) -> None:
    """Print how many learners have which letter, and the first of them one by one."""
    grades = {learner: grade for learner, grade in found.items() if grade is not None}
    letters = Counter(grade.letter or "none" for grade in grades.values())
    order = [*sorted(course().grading_policy["GRADE_CUTOFFS"]), "none"]
    counts = ", ".join(f"{letters[letter]} {letter}" for letter in order)
    passed = sum(grade.passed for grade in grades.values())
    print(f"\ncourse grades  {len(grades)} learners: {counts}; {passed} passed")
    for learner, grade in list(grades.items())[:SHOWN]:
        name = f"{learner.username} {learner.get_full_name()}"
        print(f"{name:<28}{grade.percent:>4}%  {grade.letter or 'no letter'}")
    if len(grades) > SHOWN:
        print(f"... and {len(grades) - SHOWN} more")
