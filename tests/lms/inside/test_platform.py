"""What else of an LMS a submission meets: its flag, tracking log, callback, retirement, outages."""

from __future__ import annotations

import json
from unittest.mock import patch
from urllib.parse import urlsplit

from django.urls import resolve, reverse
from openedx.core.djangoapps.user_api.accounts.signals import USER_RETIRE_LMS_MISC
from openedx.core.djangoapps.waffle_utils.models import WaffleFlagCourseOverrideModel
from xmodule.modulestore.django import modulestore

from tests.lms.inside.base import CourseTestCase
from tests.lms.inside.olx import RIGHT
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.lms.request_cache import clear_request_cache
from xqueue_bridge.lms.waffle import FLAG_NAME
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.xqueue_service.models import TransportOverride
from xqueue_bridge.xqueue_service.toggles import use_edx_submissions_for_xqueue


class AutoReconnect(Exception):
    """What pymongo raises while a replica set elects a primary."""


class PlatformTest(CourseTestCase):
    """Seams between the platform and the bridge."""

    def test_course_s_waffle_override_is_seen(self) -> None:
        """C28: the platform's own flag switches a course, and switches it back."""
        TransportOverride.objects.all().delete()
        assert use_edx_submissions_for_xqueue(self.course.id) is False
        for choice, expected in (("on", True), ("off", False)):
            WaffleFlagCourseOverrideModel.objects.create(
                waffle_flag=FLAG_NAME,
                course_id=self.course.id,
                override_choice=choice,
                enabled=True,
            )
            clear_request_cache()  # a request begins with an empty one
            assert use_edx_submissions_for_xqueue(self.course.id) is expected

    def test_url_of_the_protocol_is_ours(self) -> None:
        """The plug-in's URLs come before those of edx-submissions."""
        assert resolve("/xqueue/get_submission/").view_name == "xqueue_bridge:get_submission"

    def test_callback_url_is_the_platform_s_view(self) -> None:
        """The header that a grader's reply comes back with leads to the LMS's own view."""
        self.submit()
        header = json.loads(self.submission().content.header)
        path = urlsplit(header["lms_callback_url"]).path
        assert resolve(path).view_name == "xqueue_callback"
        expected = {
            "course_id": str(self.course.id),
            "userid": str(self.learner.pk),
            "mod_id": str(self.problem.location),
            "dispatch": "score_update",
        }
        assert path == reverse("xqueue_callback", kwargs=expected)

    def test_callback_of_a_legacy_server(self) -> None:
        """C28: a result that comes by the platform's callback is applied by the platform."""
        self.submit()
        header = self.submission().content.header
        form = {"xqueue_header": header, "xqueue_body": RIGHT}
        path = urlsplit(json.loads(header)["lms_callback_url"]).path
        assert self.browser.post(path, form).status_code == 200
        assert self.row().grade == 1

    def test_outage_of_the_module_store(self) -> None:
        """A short outage is tried again, and costs no grade."""
        self.submit()
        store = type(modulestore())
        with patch.object(store, "get_item", side_effect=AutoReconnect):
            self.grade()
        [reply] = ReceivedReply.objects.all()
        assert (reply.status, reply.last_error) == ("pending", "AutoReconnect")
        ReceivedReply.objects.update(next_attempt_at=reply.received_at)
        self.apply_replies()
        assert self.row().grade == 1

    def test_deleted_user(self) -> None:
        """A user whose row is gone ends the reply, after three attempts."""
        self.submit()
        Submission.objects.update(user_id=10**9)
        self.grade()
        [reply] = ReceivedReply.objects.all()
        assert reply.last_error == "There is no such learner or block."

    def test_retired_user(self) -> None:
        """C125: the signal of the retirement pipeline empties what the learner wrote."""
        self.submit()
        USER_RETIRE_LMS_MISC.send(sender=type(self), user=self.learner)
        assert SubmissionContent.objects.get().body == ""

    def test_heartbeat_has_our_check(self) -> None:
        response = json.loads(self.browser.get("/heartbeat?extended").content)
        assert response["xqueue_bridge"]["status"] is True

    def test_admin_pages(self) -> None:
        """C130: the lists of our models open with the LMS's admin."""
        self.learner.is_staff = self.learner.is_superuser = True
        self.learner.save()
        self.submit()
        for name in ("submission", "grader", "transportoverride", "receivedreply"):
            url = reverse(f"admin:xqueue_bridge_{name}_changelist")
            assert self.browser.get(url).status_code == 200, url

    def test_tracking_log_has_no_request_of_a_grader(self) -> None:
        """C129: it would store keys and feedback; and a poll is no event."""
        with patch("common.djangoapps.track.middleware.views.server_track") as log_request:
            self.submit()
            assert log_request.called
            log_request.reset_mock()
            assert self.grader.login()["return_code"] == 0
            self.grader.put(self.grader.pull(), RIGHT)
            assert not log_request.called
