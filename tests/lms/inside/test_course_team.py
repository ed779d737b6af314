"""The course team's pages in an LMS: who may open them, and a regrade with its reply backend."""

from __future__ import annotations

import json
from typing import Any

from common.djangoapps.student.models import CourseAccessRole
from common.djangoapps.student.tests.factories import (
    BetaTesterFactory,
    GlobalStaffFactory,
    InstructorFactory,
    OrgStaffFactory,
    StaffFactory,
    UserFactory,
)
from django.test import Client
from django.urls import reverse
from xmodule.modulestore.tests.factories import CourseFactory

from tests.lms.inside.base import CourseTestCase
from tests.lms.inside.olx import WRONG
from xqueue_bridge.regrading.models import Regrade, RegradeItem


class CourseTeamTest(CourseTestCase):
    """Users with the platform's roles, at the pages of self.course."""

    def browser_of(self, factory: Any, course_key: object = None) -> Client:
        role = {"course_key": course_key} if course_key else {}
        user = factory.create(password="the-password", **role)
        browser = Client()
        assert browser.login(username=user.username, password="the-password")
        return browser

    def page(self, name: str = "submissions") -> str:
        return reverse(f"xqueue_bridge:{name}", kwargs={"course_id": str(self.course.id)})

    def test_staff_of_the_course_see_its_submissions(self) -> None:
        """The platform's access rules decide: course, organisation and global staff."""
        self.submit()
        allowed = [
            self.browser_of(StaffFactory, self.course.id),
            self.browser_of(InstructorFactory, self.course.id),
            self.browser_of(OrgStaffFactory, self.course.id),
            self.browser_of(GlobalStaffFactory),
        ]
        for browser in allowed:
            response = browser.get(self.page())
            assert response.status_code == 200
            assert self.learner.username in response.content.decode()

    def test_other_users_see_nothing(self) -> None:
        """Learners, beta testers and the staff of another course."""
        self.submit()
        another = CourseFactory.create()
        refused = [
            self.browser,
            self.browser_of(UserFactory),
            self.browser_of(BetaTesterFactory, self.course.id),
            self.browser_of(StaffFactory, another.id),
        ]
        for browser in refused:
            for name in ("submissions", "regrades", "problems", "stuck"):
                response = browser.get(self.page(name))
                assert response.status_code == 403
                assert self.learner.username not in response.content.decode()
        assert Client().get(self.page()).status_code == 302

    def test_role_that_was_taken_away(self) -> None:
        """It counts from the next request on."""
        browser = self.browser_of(StaffFactory, self.course.id)
        assert browser.get(self.page()).status_code == 200
        CourseAccessRole.objects.all().delete()
        assert browser.get(self.page()).status_code == 403

    def start_regrade(self, **changes: str) -> None:
        """Start it on the page, as course staff does."""
        staff = self.browser_of(StaffFactory, self.course.id)
        form = {"scope": "problem", "problem": str(self.problem.location), "per_minute": 60}
        chosen = {**form, "keep_feedback": "on", "action": "start", **changes}
        response = staff.post(self.page("new_regrade"), chosen)
        assert response.status_code == 302, response.content.decode()[-3000:]

    def test_regrade(self) -> None:
        """The second result is the learner's grade, and costs no attempt."""
        self.submit()
        self.grade(WRONG)
        assert self.row().grade == 0
        self.start_regrade()
        assert Regrade.objects.get().course_key == self.course.id
        self.grade()
        assert (self.row().grade, self.mark()["correctness"]) == (1, "correct")
        assert RegradeItem.objects.get().status == RegradeItem.Status.UP
        assert json.loads(self.row().state)["attempts"] == 1

    def test_regrade_that_hides_the_feedback_is_refused(self) -> None:
        """Only our own table can hide the old points and put them back."""
        self.submit()
        self.grade(WRONG)
        staff = self.browser_of(StaffFactory, self.course.id)
        form = {"scope": "problem", "problem": str(self.problem.location), "per_minute": 60}
        response = staff.post(self.page("new_regrade"), {**form, "action": "start"})
        assert response.status_code == 422
        assert "always keeps the feedback" in response.content.decode()
        assert not RegradeItem.objects.exists()
        assert self.mark()["correctness"] == "incorrect"

    def test_lower_result_of_a_regrade_that_only_raises(self) -> None:
        self.submit()
        self.grade()
        self.start_regrade(only_if_higher="on")
        self.grade(WRONG)
        assert (self.row().grade, self.mark()["correctness"]) == (1, "correct")
        assert RegradeItem.objects.get().status == RegradeItem.Status.KEPT

    def test_newer_answer_of_the_learner_wins(self) -> None:
        """The result of the regrade, which arrives last, changes nothing."""
        self.submit("print(41)")
        self.grade(WRONG)
        self.start_regrade()
        regrade = self.grader.pull()
        self.submit()
        self.grade()
        assert self.grader.put(regrade, WRONG)["return_code"] == 0
        self.apply_replies()
        assert (self.row().grade, self.mark()["correctness"]) == (1, "correct")
        assert RegradeItem.objects.get().status == RegradeItem.Status.SKIPPED
