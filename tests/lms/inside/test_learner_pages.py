"""The status and the pages of a learner whose problem is a real block of the LMS."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from common.djangoapps.student.tests.factories import UserFactory
from django.core.cache import caches
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from tests.lms.inside.base import CourseTestCase
from xqueue_bridge.conf import options
from xqueue_bridge.submission_queue.models import Submission

HALF = json.dumps({"correct": True, "score": 0.5, "msg": "<p>Half of the tests passed.</p>"})


class LearnerPagesTest(CourseTestCase):
    """What the learner's browser gets from the bridge, beside the block's own page."""

    def status(self, browser: Client | None = None) -> dict[str, Any]:
        """Return the status, which is cached for two seconds while it is open."""
        caches[options().CACHE_ALIAS].clear()
        url = reverse("xqueue_bridge:learner_status", args=[str(self.problem.location)])
        response = (browser or self.browser).get(url)
        assert response.status_code == 200, response
        return json.loads(response.content)

    def headline(self) -> str:
        [answer] = self.status()["answers"]
        return answer["headline"]

    def page(self, name: str, *args: object) -> str:
        response = self.browser.get(reverse(f"xqueue_bridge:{name}", args=args))
        assert response.status_code == 200, response
        return response.content.decode()

    def test_status_from_submit_to_grade(self) -> None:
        """Each stage, with the points as the block counts them after its weight."""
        assert self.status()["answers"] == []
        self.change(weight=8)
        self.submit()
        [answer] = self.status()["answers"]
        assert (answer["stage"], answer["position"]) == ("waiting", 1)
        assert "No grader is running now." in " ".join(answer["lines"])
        self.grader.login()
        pulled = self.grader.pull()
        assert self.headline() == "Being graded"
        self.grader.put(pulled, HALF)
        self.apply_replies()
        found = self.status()
        assert (found["announcement"], found["refresh_seconds"]) == ("4 of 8 points.", None)
        assert self.row().grade == 0.5 * self.row().max_grade

    def test_result_that_the_course_does_not_show(self) -> None:
        """The block's own setting decides, on each page."""
        self.change(show_correctness="never")
        self.submit()
        self.grade(HALF)
        assert self.headline() == "Graded"
        page = self.page("my_submission", self.submission().pk)
        assert "The course does not show the result, or not yet." in page
        assert "Half of the tests passed." not in page

    def test_failed_answer_says_that_the_attempt_came_back(self) -> None:
        """As the block says it: the attempt is not counted."""
        self.submit()
        past = timezone.now() - timedelta(seconds=1)
        Submission.objects.update(
            status="leased", deliveries=1000, available_at=past, due_at=past, retry_until=past
        )
        self.apply_replies()
        self.apply_replies()
        [answer] = self.status()["answers"]
        assert (answer["stage"], answer["lines"][-1]) == ("failed", "This attempt does not count.")
        assert json.loads(self.row().state)["attempts"] == 0

    def test_newer_answer_and_reset(self) -> None:
        self.submit("print(41)")
        first = self.submission()
        Submission.objects.update(created_at=timezone.now() - timedelta(minutes=1))
        with (
            override_settings(XQUEUE_WAITTIME_BETWEEN_REQUESTS=0),
            self.captureOnCommitCallbacks(execute=True),
        ):
            self.submit()
        assert self.headline() == "Waiting for a grader"
        page = self.page("my_submission", first.pk)
        assert "You have submitted a newer answer since, or reset the problem." in page
        self.handle("problem_reset")
        # Longer ago than STALE_AFTER_SECONDS.
        Submission.objects.update(created_at=timezone.now() - timedelta(hours=1))
        self.grade()
        assert self.headline() == "Not graded any more"
        assert "The problem was reset since." in self.page("my_submission", self.submission().pk)

    def test_my_submissions_leads_to_the_problem(self) -> None:
        self.submit()
        self.grade(HALF)
        page = self.page("my_submissions")
        assert "Print" in page
        assert "0.5 of 1 points" in page
        jump = reverse("jump_to", args=[str(self.course.id), str(self.problem.location)])
        detail = self.page("my_submission", self.submission().pk)
        assert f'href="{jump}"' in detail.replace("%3A", ":").replace("%2B", "+")
        assert "Half of the tests passed." in detail

    def test_other_learner_sees_nothing(self) -> None:
        self.submit()
        self.grade(HALF)
        other = UserFactory.create(password="the-password")
        browser = Client()
        assert browser.login(username=other.username, password="the-password")
        assert self.status(browser)["answers"] == []
        mine = reverse("xqueue_bridge:my_submission", args=[self.submission().pk])
        assert browser.get(mine).status_code == 404
        url = reverse("xqueue_bridge:learner_status", args=[str(self.problem.location)])
        assert Client().get(url).status_code == 403

    def test_answer_to_a_problem_that_was_reset_is_offered_to_no_grader(self) -> None:
        """The platform's own state says it: no answer is checked."""
        self.submit()
        with self.captureOnCommitCallbacks(execute=True):
            self.handle("problem_reset")
        assert self.submission().status == "superseded"
        assert self.headline() == "Not graded any more"
