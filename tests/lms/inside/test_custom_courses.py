"""A custom course (CCX): another key for the blocks of a course, with learners of its own."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from ccx_keys.locator import CCXLocator
from common.djangoapps.student.tests.factories import (
    CourseEnrollmentFactory,
    GlobalStaffFactory,
    StaffFactory,
    UserFactory,
)
from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse
from lms.djangoapps.ccx.tests.factories import CcxFactory
from lms.djangoapps.courseware.models import StudentModule
from lms.djangoapps.grades.api import CourseGradeFactory

from tests.lms.inside.base import CourseTestCase
from xqueue_bridge.lms.loader import load_block
from xqueue_bridge.stuck_answers import api as stuck_answers
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.xqueue_service.models import TransportOverride


@override_settings(FEATURES={**settings.FEATURES, "CUSTOM_COURSES_EDX": True})
class CustomCourseTest(CourseTestCase):
    """The learner is in the custom course, and its key is in each row and URL."""

    def setUp(self) -> None:
        super().setUp()
        ccx = CcxFactory.create(course_id=self.course.id, coach=UserFactory.create())
        self.ccx_key = CCXLocator.from_course_locator(self.course.id, str(ccx.id))
        # Not map_into_course(): that key has another class, and is equal to none of the platform's.
        self.usage_key = self.ccx_key.make_usage_key("problem", self.problem.location.block_id)
        CourseEnrollmentFactory.create(user=self.learner, course_id=self.ccx_key)
        TransportOverride.objects.create(scope="course", name=str(self.ccx_key))

    def submit_there(self) -> None:
        """Submit as the page of the custom course does."""
        block = load_block(self.learner.pk, self.ccx_key, self.usage_key)
        assert block is not None
        assert block.scope_ids.usage_id.course_key == self.ccx_key
        block.handle_ajax("problem_check", {f"input_{self.answer_id}": "print(42)"})
        block.save()

    def row_there(self) -> StudentModule:
        rows = StudentModule.objects.filter(student_id=self.learner.pk)
        return rows.get(module_state_key=self.usage_key)

    def status(self) -> dict[str, Any]:
        url = reverse("xqueue_bridge:learner_status", args=[str(self.usage_key)])
        return json.loads(self.browser.get(url).content)

    def test_answer_is_graded(self) -> None:
        """The submission, the grade and the course grade have the custom course's key."""
        self.submit_there()
        [sent] = Submission.objects.all()
        assert (sent.course_key, sent.usage_key) == (self.ccx_key, self.usage_key)
        self.grade()
        assert (self.row_there().course_id, self.row_there().grade) == (self.ccx_key, 1)
        grade = CourseGradeFactory().read(self.learner, course_key=self.ccx_key)
        assert grade.problem_scores[self.usage_key].earned == 1
        assert self.status()["announcement"] == "1 of 1 points."

    def test_submit_over_the_page(self) -> None:
        """The URL of the block's handler, the callback URL and the header have the key."""
        kwargs = {"course_id": str(self.ccx_key), "usage_id": str(self.usage_key)}
        kwargs |= {"handler": "xmodule_handler", "suffix": "problem_check"}
        form = {f"input_{self.answer_id}": "print(42)"}
        response = self.browser.post(reverse("xblock_handler", kwargs=kwargs), form)
        assert response.status_code == 200
        assert self.status()["announcement"].startswith("Waiting for a grader.")
        self.grade()
        assert self.row_there().grade == 1

    def test_pages_of_the_course_team(self) -> None:
        """Staff of the custom course see its submissions; staff of another one do not."""
        self.submit_there()
        name = self.learner.username
        other = CcxFactory.create(course_id=self.course.id, coach=UserFactory.create())
        other_key = CCXLocator.from_course_locator(self.course.id, str(other.id))
        for user, status in (
            (StaffFactory.create(course_key=self.ccx_key, password="the-password"), 200),
            (GlobalStaffFactory.create(password="the-password"), 200),
            (StaffFactory.create(course_key=other_key, password="the-password"), 403),
        ):
            browser = Client()
            assert browser.login(username=user.username, password="the-password")
            for page in ("submissions", "regrades", "problems", "stuck"):
                url = reverse(f"xqueue_bridge:{page}", kwargs={"course_id": str(self.ccx_key)})
                assert browser.get(url).status_code == status, page
            page = reverse("xqueue_bridge:submissions", kwargs={"course_id": str(self.ccx_key)})
            assert (name in browser.get(page).content.decode()) == (status == 200)

    def test_stuck_answer_is_repaired(self) -> None:
        """It is found in the custom course, and not in the course that it was made of."""
        self.submit_there()
        Submission.objects.all().delete()
        now = timedelta(0)
        assert stuck_answers.find(self.course.id, older_than=now).answers == []
        [answer] = stuck_answers.find(self.ccx_key, older_than=now).answers
        [repaired] = stuck_answers.repair([answer.row_id], self.ccx_key)
        assert repaired.outcome == stuck_answers.Outcome.ENDED
        [entry] = json.loads(self.row_there().state)["correct_map"].values()
        assert (entry["queuestate"], entry["correctness"]) == (None, "incomplete")
