"""Measure course grades: all learners of a course, computed by one process and by two.

    python -m benchmarks.course_grades --database postgres

A learner has a score at every second problem. Compare only times of the same run.
"""

from __future__ import annotations

import argparse
import io
import time
from typing import Any

from benchmarks.command import argument_parser, set_up

PROBLEMS_IN_A_SUBSECTION = 5
#: A course of a tenth of the size must take the same number of statements for a learner.
SMALLER = 10


def main() -> None:
    wanted = _arguments()
    set_up(wanted.database)
    from benchmarks.database import a_database

    with a_database():
        print(f"{wanted.database}, {wanted.problems} problems, {wanted.learners} learners")
        small = make_course("small", wanted.problems // SMALLER, learners=1)
        large = make_course("large", wanted.problems, wanted.learners)
        print(f"statements for a learner: {is_per_learner(small)} -> {is_per_learner(large)}")
        retire_grades(large)
        alone = seconds_to_compute(large, workers=1)
        retire_grades(large)
        together = seconds_to_compute(large, workers=2)
        for workers, seconds in ((1, alone), (2, together)):
            each = seconds / wanted.learners * 1000
            print(f"{workers} worker(s): {each:.1f} ms a learner, {alone / seconds:.1f}x")


def make_course(name: str, problems: int, learners: int) -> Any:
    """Publish a course of one homework for each five problems; return its key."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone
    from opaque_keys.edx.keys import CourseKey

    from xqueue_bridge.course_structure import api as course_structure
    from xqueue_bridge.course_structure.policy import parse_policy
    from xqueue_bridge.learner_state.models import StudentModule

    course_key, now = CourseKey.from_string(f"course-v1:DemoX+{name}+2026"), timezone.now()
    keys = [course_key.make_usage_key("problem", f"p{number}") for number in range(problems)]
    blocks = [course_structure.Block(key, "problem", max_score=2.0) for key in keys]
    homeworks = tuple(
        course_structure.Subsection(
            course_key.make_usage_key("sequential", f"s{start}"),
            f"Homework {start}",
            "Homework",
            graded=True,
            blocks=tuple(blocks[start : start + PROBLEMS_IN_A_SUBSECTION]),
        )
        for start in range(0, problems, PROBLEMS_IN_A_SUBSECTION)
    )
    grader = {"type": "Homework", "min_count": len(homeworks), "drop_count": 2, "weight": 1.0}
    policy = parse_policy({"GRADER": [grader], "GRADE_CUTOFFS": {"Pass": 0.3}})
    chapter = course_structure.Chapter(
        course_key.make_usage_key("chapter", "one"), "One", homeworks
    )
    course_structure.publish(
        course_structure.Course(course_key, "1", now, None, policy, (chapter,))
    )

    users = get_user_model().objects
    users.bulk_create(users.model(username=f"{name}-{number}") for number in range(learners))
    for user_id in users.filter(username__startswith=f"{name}-").values_list("pk", flat=True):
        StudentModule.objects.bulk_create(
            StudentModule(
                student_id=user_id,
                course_id=course_key,
                module_state_key=key,
                module_type="problem",
                state="{}",
                version=1,
                grade=(user_id + number) % 3,
                max_grade=2,
                created=now,
                modified=now,
            )
            for number, key in enumerate(keys[::2])
        )
    return course_key


def is_per_learner(course_key: Any) -> int:
    """Return the number of statements of a learner's first grade."""
    from benchmarks.database import statements
    from xqueue_bridge.course_grades import api
    from xqueue_bridge.course_grades.course_recalculation import learners_of
    from xqueue_bridge.course_grades.recalculation_queue import request_full_recalculations
    from xqueue_bridge.course_structure import api as course_structure

    learner = next(learners_of(course_key))
    request_full_recalculations(course_key, [learner])
    course_structure.course_structures().get(course_key)  # a process reads it once
    return statements(lambda: api.recalculate_requested(learner, course_key))


def seconds_to_compute(course_key: Any, workers: int) -> float:
    from django.core.management import call_command

    silent = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    start = time.perf_counter()
    call_command("xqueue_bridge_compute_grades", str(course_key), workers=workers, **silent)
    return time.perf_counter() - start


def retire_grades(course_key: Any) -> None:
    from xqueue_bridge.course_grades.models import (
        GradeRecalculation,
        PersistentCourseGrade,
        PersistentSubsectionGrade,
        VisibleBlocks,
    )

    for model in (
        PersistentSubsectionGrade,
        PersistentCourseGrade,
        GradeRecalculation,
        VisibleBlocks,
    ):
        model.objects.filter(course_id=course_key).delete()


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--learners", type=int, default=1000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
