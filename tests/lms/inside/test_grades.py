"""Scores and course grades of an LMS, and who gets them when."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ccx_keys.locator import CCXLocator
from common.djangoapps.student.tests.factories import (
    CourseEnrollmentFactory,
    StaffFactory,
    UserFactory,
)
from django.conf import settings
from django.test import override_settings
from django.test.client import Client
from django.urls import reverse
from edx_when.api import set_dates_for_course
from lms.djangoapps.ccx.tests.factories import CcxFactory
from lms.djangoapps.courseware.models import StudentModule
from lms.djangoapps.grades.api import CourseGradeFactory, signals
from lms.djangoapps.instructor.views.tools import set_due_date_extension

from tests.lms.inside.base import CourseTestCase
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.lms.loader import load_block
from xqueue_bridge.models import StudentModule as OurStudentModule
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.xqueue_service.models import TransportOverride

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


@override_settings(FEATURES={**settings.FEATURES, "CUSTOM_COURSES_EDX": True})
class CcxTest(CourseTestCase):
    """A custom course: another key for the same blocks."""

    def test_answer_in_a_custom_course(self) -> None:
        """The grade is stored with the custom course's key."""
        coach = UserFactory.create()
        ccx = CcxFactory.create(course_id=self.course.id, coach=coach)
        ccx_key = CCXLocator.from_course_locator(self.course.id, str(ccx.id))
        CourseEnrollmentFactory.create(user=self.learner, course_id=ccx_key)
        TransportOverride.objects.create(scope="course", name=str(ccx_key))
        block = load_block(self.learner.pk, ccx_key, self.problem.location.map_into_course(ccx_key))
        assert block is not None
        usage_key = block.scope_ids.usage_id
        assert usage_key.course_key == ccx_key
        block.handle_ajax("problem_check", {f"input_{self.answer_id}": "print(42)"})
        block.save()
        [sent] = Submission.objects.all()
        assert (sent.course_key, sent.usage_key) == (ccx_key, usage_key)
        self.grade()
        row = StudentModule.objects.get(student_id=self.learner.pk, module_state_key=usage_key)
        assert (row.course_id, row.grade) == (ccx_key, 1)
