"""The LMS's admin, as its operators use it."""

from __future__ import annotations

from datetime import timedelta

from common.djangoapps.student.tests.factories import SuperuserFactory
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from tests.lms.inside.base import CourseTestCase
from tests.lms.inside.olx import RIGHT
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.xqueue_service.models import TransportOverride
from xqueue_bridge.xqueue_service.toggles import use_edx_submissions_for_xqueue


class AdminTest(CourseTestCase):
    """A superuser of the LMS."""

    def setUp(self) -> None:
        super().setUp()
        operator = SuperuserFactory.create(is_staff=True, password="the-password")
        self.operator = Client()
        assert self.operator.login(username=operator.username, password="the-password")

    def test_each_row_of_a_graded_answer_opens(self) -> None:
        """C130: with the LMS's templates, middleware and user model."""
        self.submit()
        self.grade()
        rows = [
            Submission.objects.get(),
            ReceivedReply.objects.get(),
            Submission.objects.get().grader,
        ]
        for row in rows:
            name = f"admin:xqueue_bridge_{row._meta.model_name}_change"
            assert self.operator.get(reverse(name, args=[row.pk])).status_code == 200, name

    def test_course_is_switched_back(self) -> None:
        """C28: by an override that the operator edits."""
        override = TransportOverride.objects.get()
        url = reverse("admin:xqueue_bridge_transportoverride_change", args=[override.pk])
        form = {"scope": override.scope, "name": override.name}  # the box is not ticked
        assert self.operator.post(url, form).status_code == 302
        assert use_edx_submissions_for_xqueue(self.course.id) is False

    @override_settings(XQUEUE_BRIDGE={"MAX_DELIVERIES": 1})
    def test_failed_answer_is_requeued_and_graded(self) -> None:
        """C77, C123: the learner is told, and the block waits again when staff has requeued it."""
        self.submit()
        assert self.grader.login()["return_code"] == 0
        self.grader.pull()
        Submission.objects.update(available_at=timezone.now() - timedelta(minutes=1))
        self.apply_replies()  # finds that the submission has failed
        self.apply_replies()
        assert self.submission().status == Status.FAILED
        assert (self.mark()["correctness"], self.mark()["queuestate"]) == ("incomplete", None)
        url = reverse("admin:xqueue_bridge_submission_changelist")
        form = {"action": "retry", "_selected_action": [self.submission().pk]}
        assert self.operator.post(url, form).status_code == 302
        assert self.submission().status == Status.WAITING
        assert self.mark()["queuestate"] is not None
        self.grade(RIGHT)
        assert self.row().grade == 1
