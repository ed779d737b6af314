"""What a run begins with: a course, learners and a grader account."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey, UsageKey

from benchmarks.soak.settings import QUEUE
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.course_structure.policy import parse_policy
from xqueue_bridge.submission_queue import api as submission_queue

COURSE = CourseKey.from_string("course-v1:DemoX+Soak+2026")
PROBLEMS: list[UsageKey] = [COURSE.make_usage_key("problem", f"p{n}") for n in range(10)]
GRADER = "soak-grader"
POINTS = 2.0


def publish_course(version: int) -> None:
    """Publish the course; each version has another weight and another cut-off."""
    blocks = tuple(course_structure.Block(key, "problem", max_score=POINTS) for key in PROBLEMS)
    homeworks = tuple(
        course_structure.Subsection(
            COURSE.make_usage_key("sequential", f"s{start}"),
            f"Homework {start}",
            "Homework",
            graded=True,
            blocks=blocks[start : start + 5],
        )
        for start in (0, 5)
    )
    grader: dict[str, Any] = {
        "type": "Homework",
        "min_count": 2,
        "drop_count": version % 2,
        "weight": 1.0,
    }
    cutoff = 0.3 + version % 5 / 10
    policy = parse_policy({"GRADER": [grader], "GRADE_CUTOFFS": {"Pass": cutoff}})
    chapter = course_structure.Chapter(COURSE.make_usage_key("chapter", "one"), "One", homeworks)
    now = timezone.now()
    course_structure.publish(
        course_structure.Course(COURSE, str(version), now, None, policy, (chapter,))
    )


def make_world(learners: int) -> str:
    """Create the course, the learners and the grader account; return the account's secret."""
    publish_course(0)
    users = get_user_model().objects
    users.bulk_create(users.model(username=f"soak-{number}") for number in range(learners))
    return submission_queue.create_grader(GRADER, [QUEUE])
