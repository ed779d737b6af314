"""Functions that run in processes which are killed after a commit, before its ``on_commit``."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import transaction

from tests.integration.conftest import waiting_state
from tests.integration.killable_processes import die_after_commit
from tests.submission_queue.factories import COURSE, GOOD_REPLY, PROBLEM, GraderClient
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.course_structure.policy import parse_policy
from xqueue_bridge.learner_state import student_module
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.tasks import sweep

HOMEWORK = COURSE.make_usage_key("sequential", "homework")
FULL = course_grades.SubsectionOverride(earned_graded=2, reason="ill", author_id=1)


def course(pass_from: float) -> course_structure.Course:
    """Return a course of one homework, PROBLEM, of two points."""
    block = course_structure.Block(PROBLEM, "problem", max_score=2.0)
    homework = course_structure.Subsection(
        HOMEWORK, "Homework", "Homework", graded=True, blocks=(block,)
    )
    chapter = course_structure.Chapter(COURSE.make_usage_key("chapter", "one"), "One", (homework,))
    grader = {"type": "Homework", "min_count": 1, "drop_count": 0, "weight": 1.0}
    policy = parse_policy({"GRADER": [grader], "GRADE_CUTOFFS": {"Pass": pass_from}})
    edited_on = datetime(2026, 11, 20, tzinfo=UTC)
    return course_structure.Course(COURSE, str(pass_from), edited_on, None, policy, (chapter,))


def grade(number: int, secret: str) -> None:
    """Be the web process that takes one grader's result, then the sweeper."""
    grader = GraderClient(secret)
    assert grader.login()["return_code"] == 0
    die_after_commit(number)
    pulled = grader.pull()
    assert pulled
    grader.put(pulled.header, GOOD_REPLY)
    sweep()


def publish(number: int, pass_from: float) -> None:
    die_after_commit(number)
    course_structure.publish(course(pass_from))


def override(number: int, user_id: int) -> None:
    """Set an override in a transaction of the host."""
    die_after_commit(number)
    with transaction.atomic():
        course_grades.set_override(user_id, COURSE, HOMEWORK, FULL)


def fail(number: int) -> None:
    """Be the sweeper that fails a submission which was delivered too often."""
    die_after_commit(number)
    submission_queue.fail_exhausted()


def save_state(number: int, user_id: int, queue_key: str) -> None:
    """Be the web process that saves the state of a further answer."""
    die_after_commit(number)
    student_module.save_fields(user_id, COURSE, PROBLEM, waiting_state(queue_key, points=2))
