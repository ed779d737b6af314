"""What course staff does to a problem with the platform's own tools, while queued and after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from common.djangoapps.student.tests.factories import InstructorFactory
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from lms.djangoapps.courseware.models import StudentModule
from lms.djangoapps.instructor_task.models import InstructorTask

from tests.lms.inside.base import CourseTestCase
from tests.lms.inside.olx import RIGHT
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.lms.loader import load_block

PARTIAL = json.dumps({"correct": True, "score": 0.5, "msg": "<p>Half.</p>"})


class InstructorTest(CourseTestCase):
    """The instructor dashboard's requests, and the tasks that they start."""

    def setUp(self) -> None:
        super().setUp()
        staff = InstructorFactory.create(course_key=self.course.id, password="the-password")
        self.staff = Client()
        assert self.staff.login(username=staff.username, password="the-password")

    def ask(self, name: str, **fields: Any) -> HttpResponse:
        """Post to the instructor API about the learner's problem."""
        form = {
            "problem_to_reset": str(self.problem.location),
            "unique_student_identifier": self.learner.username,
            **fields,
        }
        return self.staff.post(reverse(name, kwargs={"course_id": str(self.course.id)}), form)

    def test_rescore_while_queued(self) -> None:
        """C124: the platform rescores no external grader; the answer waits on, and is graded."""
        self.submit()
        before = self.row().state
        self.ask("rescore_problem", only_if_higher="false")
        assert InstructorTask.objects.get().task_type == "rescore_problem"
        assert self.row().state == before
        self.grade()
        assert (self.mark()["correctness"], self.row().grade) == ("correct", 1)

    def test_rescore_after_the_result(self) -> None:
        """C124: it changes neither the grade nor the feedback."""
        self.submit()
        self.grade(PARTIAL)
        before = self.row().state
        self.ask("rescore_problem", only_if_higher="true")
        assert self.row().state == before
        assert self.row().grade == 0.5

    def test_block_refuses_to_rescore(self) -> None:
        """The block's own method, which the task calls."""
        self.submit()
        block = load_block(self.learner.pk, self.course.id, self.problem.location)
        with pytest.raises(NotImplementedError):
            block.rescore(only_if_higher=False)
        self.grade()
        assert self.row().grade == 1

    def test_override_while_queued(self) -> None:
        """The result that arrives later counts: it is the newer score."""
        self.submit()
        assert self.ask("override_problem_score", score=0.25).status_code == 200
        assert self.row().grade == 0.25
        assert self.mark()["queuestate"] is not None
        self.grade()
        assert self.row().grade == 1

    def test_override_after_the_result(self) -> None:
        """C121: a repeated result does not undo it."""
        self.submit()
        self.grade()
        assert self.ask("override_problem_score", score=0.25).status_code == 200
        ReceivedReply.objects.update(next_attempt_at=ReceivedReply.objects.get().received_at)
        self.apply_replies()
        assert self.row().grade == 0.25

    def test_attempts_reset_while_queued(self) -> None:
        """C124: the answer still waits, and is graded."""
        self.submit()
        assert self.ask("reset_student_attempts").status_code == 200
        assert json.loads(self.row().state)["attempts"] == 0
        self.grade()
        assert self.row().grade == 1

    def test_state_deleted_while_queued(self) -> None:
        """C124: the result of a deleted state brings nothing back."""
        self.submit()
        assert self.ask("reset_student_attempts", delete_module="true").status_code == 200
        self.grade()
        assert ReceivedReply.objects.get().status == ReceivedReply.Status.PENDING
        rows = StudentModule.objects.filter(module_state_key=self.problem.location)
        assert not rows.exclude(grade=None).filter(grade__gt=0).exists()

    def test_state_deleted_and_answered_again(self) -> None:
        """C124: only the new answer's result counts."""
        self.submit("print(41)")
        assert self.grader.login()["return_code"] == 0
        first = self.grader.pull()
        assert self.ask("reset_student_attempts", delete_module="true").status_code == 200
        self.submit()
        self.grader.put(first, PARTIAL)
        self.apply_replies()
        assert self.mark()["queuestate"] is not None
        self.grade(RIGHT)
        assert self.row().grade == 1
