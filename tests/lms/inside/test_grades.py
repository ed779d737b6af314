"""Scores and course grades of an LMS, and who gets them when."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from common.djangoapps.student.tests.factories import StaffFactory, UserFactory
from django.test.client import Client
from django.urls import reverse
from edx_when.api import set_dates_for_course
from lms.djangoapps.courseware.models import StudentModule
from lms.djangoapps.grades.api import CourseGradeFactory, signals
from lms.djangoapps.instructor.views.tools import set_due_date_extension

from tests.lms.inside.base import CourseTestCase
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.models import StudentModule as OurStudentModule
from xqueue_bridge.submission_queue.models import Submission

NOW = datetime.now(UTC).replace(microsecond=0)
YESTERDAY = NOW - timedelta(days=1)
TOMORROW = NOW + timedelta(days=1)


class GradesTest(CourseTestCase):
    """One result, as the platform's grades see it."""

    def test_course_grade(self) -> None:
        """C121: one result is one score event with the block's numbers, and the course's grade."""
        self.submit()
        scores: list[dict[str, Any]] = []

        def receive(sender: object, **score: Any) -> None:
            scores.append(score)

        signals.PROBLEM_WEIGHTED_SCORE_CHANGED.connect(receive)
        self.addCleanup(signals.PROBLEM_WEIGHTED_SCORE_CHANGED.disconnect, receive)
        self.grade()
        [score] = scores
        assert (score["weighted_earned"], score["weighted_possible"]) == (1, 1)
        assert score["usage_id"] == str(self.problem.location)
        assert score["user_id"] == self.learner.pk
        course_grade = CourseGradeFactory().read(self.learner, course_key=self.course.id)
        total = course_grade.problem_scores[self.problem.location]
        assert (total.earned, total.possible) == (1, 1)

    def test_our_own_tables_of_state_stay_empty(self) -> None:
        """In an LMS, state and grades are the platform's."""
        self.submit()
        self.grade()
        assert not OurStudentModule.objects.exists()
        assert StudentModule.objects.filter(student_id=self.learner.pk).exists()

    def test_result_after_the_due_date_and_the_last_attempt(self) -> None:
        """C119: it counts, because the answer was in time."""
        self.submit()
        self.change(due=YESTERDAY, max_attempts=1)
        self.grade()
        assert self.row().grade == 1

    def test_extension_of_one_learner(self) -> None:
        """After the due date the block takes an answer from a learner with an extension only."""
        self.change(due=YESTERDAY)
        self.submit()
        assert not Submission.objects.exists()
        set_dates_for_course(self.course.id, [(self.problem.location, {"due": YESTERDAY})])
        problem = self.store.get_item(self.problem.location)
        set_due_date_extension(self.course, problem, self.learner, TOMORROW)
        self.submit()
        self.grade()
        assert self.row().grade == 1

    def test_partial_points(self) -> None:
        self.submit()
        self.grade(json.dumps({"correct": True, "score": 0.25, "msg": "<p>One of four.</p>"}))
        assert (self.row().grade, self.row().max_grade) == (0.25, 1)

    def test_reset_by_staff_after_the_result(self) -> None:
        """C124: a deleted state is not brought back by a repeated result."""
        self.submit()
        self.grade()
        self.row().delete()
        ReceivedReply.objects.update(next_attempt_at=datetime.now(UTC))
        self.apply_replies()
        rows = StudentModule.objects.filter(module_state_key=self.problem.location, grade=1)
        assert not rows.exists()

    def test_masquerading_staff(self) -> None:
        """An answer that staff tries as a learner changes nothing of the learner's."""
        staff = StaffFactory.create(course_key=self.course.id, password="the-password")
        learners_browser, self.browser = self.browser, Client()
        assert self.browser.login(username=staff.username, password="the-password")
        chosen = {"role": "student", "user_name": self.learner.username}
        url = reverse("masquerade_update", kwargs={"course_key_string": str(self.course.id)})
        response = self.browser.post(url, json.dumps(chosen), content_type="application/json")
        assert json.loads(response.content)["success"] is True
        self.submit()
        self.browser = learners_browser
        self.grade()
        graded = StudentModule.objects.filter(module_state_key=self.problem.location, grade=1)
        assert not graded.exists()

    def test_other_learners_have_nothing(self) -> None:
        other = UserFactory.create()
        self.submit()
        self.grade()
        assert not StudentModule.objects.filter(student_id=other.pk).exists()
