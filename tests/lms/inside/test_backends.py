"""Each way in, with each reply backend that applies in an LMS."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from unittest.mock import patch

from common.djangoapps.student.models import CourseEnrollment
from django.apps import apps
from django.core import checks
from django.test import override_settings
from django.utils import timezone

from tests.lms.inside.base import CourseTestCase
from tests.lms.inside.http import URL, requests_to_the_lms
from tests.lms.inside.olx import RIGHT, WRONG
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission

PREFIXES = {"CALLBACK_PREFIXES": (f"{URL}/courses/",)}


def use_the_platform_s_service(test: CourseTestCase, url: str) -> None:
    """Let the platform's own XQueueService submit to this LMS at ``url``, until the test ends."""
    module = import_module(apps.get_app_config("xqueue_bridge").service_installation.module)
    original = import_module("xmodule.capa.xqueue_interface").XQueueService
    test.enterContext(patch.object(module, "XQueueService", original))
    secret = submission_queue.create_grader("lms", may_submit=True)
    account = {"username": "lms", "password": secret}
    interface = {"url": url, "django_auth": account, "callback_url": url}
    bridge = {"CALLBACK_PREFIXES": (f"{url}/courses/",)}
    test.enterContext(override_settings(XQUEUE_INTERFACE=interface, XQUEUE_BRIDGE=bridge))


class PostedResults(CourseTestCase):
    """Results that are posted to the LMS's own callback view."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(requests_to_the_lms())
        self.enterContext(override_settings(LMS_ROOT_URL=URL))

    def grade_later(self, result: str = RIGHT) -> None:
        """Post the result when the callback backend may apply it."""
        Submission.objects.update(created_at=timezone.now() - timedelta(minutes=1))
        self.grade(result)


@override_settings(XQUEUE_BRIDGE={"REPLY_BACKEND": "callback", **PREFIXES})
class CallbackBackendTest(PostedResults):
    """The plug-in, whose replies are posted to another process of the LMS."""

    def test_result_is_applied(self) -> None:
        self.submit()
        self.grade_later()
        assert (self.mark()["correctness"], self.row().grade) == ("correct", 1)
        assert ReceivedReply.objects.get().status == "applied"

    def test_learner_who_has_left_the_course(self) -> None:
        """C120: the result counts, as with the backend "block"."""
        self.submit()
        CourseEnrollment.objects.filter(user=self.learner).update(is_active=False)
        self.grade_later()
        assert self.row().grade == 1

    def test_block_that_the_learner_may_not_load(self) -> None:
        """The LMS's view answers 404; the reply is dead after three attempts."""
        self.submit()
        self.change(visible_to_staff_only=True)
        self.grade_later()
        [reply] = ReceivedReply.objects.all()
        assert (reply.status, reply.last_error) == ("pending", "The LMS answered 404.")


class LoopbackTest(PostedResults):
    """The platform's own XQueueService, whose XQueue server is this LMS."""

    def setUp(self) -> None:
        super().setUp()
        use_the_platform_s_service(self, URL)

    def test_result_is_posted_back(self) -> None:
        """C28, C41, C49: submitted over HTTP, pulled, and applied by the LMS's own view."""
        self.submit()
        sent = self.submission()
        assert (sent.transport, sent.usage_key) == ("submit", self.problem.location)
        assert self.mark()["queuestate"]["key"] == sent.queue_key
        self.grade_later()
        assert (self.mark()["correctness"], self.row().grade) == ("correct", 1)

    def test_wrong_answer_then_a_right_one(self) -> None:
        self.submit("print(41)")
        self.grade_later(WRONG)
        assert self.mark()["correctness"] == "incorrect"
        self.submit()
        self.grade_later()
        assert self.row().grade == 1

    def test_reset_while_queued(self) -> None:
        """C124: the LMS acknowledges a result that nothing waits for, and changes nothing."""
        self.submit()
        self.handle("problem_reset")
        self.grade_later()
        assert self.row().grade == 0
        assert ReceivedReply.objects.get().status == "applied"


class StateBackendTest(CourseTestCase):
    """It writes to our own table, which an LMS does not read."""

    @override_settings(XQUEUE_BRIDGE={"REPLY_BACKEND": "state"})
    def test_it_is_an_error(self) -> None:
        found = {message.id for message in checks.run_checks(tags=["xqueue_bridge"])}
        assert "xqueue_bridge.E041" in found
