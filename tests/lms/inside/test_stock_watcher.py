"""An unchanged xqueue-watcher grades for the LMS: by the plug-in, and by the loopback."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from common.djangoapps.student.tests.factories import CourseEnrollmentFactory, UserFactory
from django.test import Client, override_settings
from lms.djangoapps.courseware.models import StudentModule

from tests.lms.inside.base import LiveCourseTestCase
from tests.lms.inside.olx import OLX
from tests.lms.inside.test_backends import use_the_platform_s_service
from tests.lms.stock_watcher import stock_watcher
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.signals import reply_received
from xqueue_bridge.submission_queue.models import Submission

LEARNERS = 10


class StockWatcherTest(LiveCourseTestCase):
    """The fixture, and the LMS's own address in its settings."""

    OLX = OLX.replace('"problem"', '"grader"')

    def setUp(self) -> None:
        super().setUp()
        self.url = self.live_server_url
        self.enterContext(override_settings(LMS_ROOT_URL=self.url))

    def submit_all(self) -> None:
        """Let ten learners answer, every second one rightly."""
        for number in range(LEARNERS):
            learner = UserFactory.create(password="the-password")
            CourseEnrollmentFactory.create(user=learner, course_id=self.course.id)
            self.browser = Client()
            assert self.browser.login(username=learner.username, password="the-password")
            self.submit("print(42)" if number % 2 else "print(41)")

    def grade_all(self, way: str) -> None:
        """Run the watcher until it has answered all, then apply the replies."""
        answered = threading.Semaphore(0)

        def count(**kwargs: Any) -> None:
            answered.release()

        reply_received.connect(count)
        self.addCleanup(reply_received.disconnect, count)
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        began = time.monotonic()
        with stock_watcher(folder, self.url, self.grader.secret):
            in_time = all(answered.acquire(timeout=60) for _number in range(LEARNERS))
            seconds = time.monotonic() - began
            time.sleep(2)  # the last response, and the next poll
        assert in_time, (folder / "watcher.log").read_text()[-3000:]
        for _second in range(30):  # the LMS's own thread may still apply the last one
            self.apply_replies()
            if not ReceivedReply.objects.exclude(status="applied").exists():
                break
            time.sleep(1)
        states = StudentModule.objects.filter(module_state_key=self.problem.location)
        grades = list(states.order_by("student_id").values_list("grade", flat=True))
        assert grades == [number % 2 for number in range(LEARNERS)]
        assert set(ReceivedReply.objects.values_list("status", flat=True)) == {"applied"}
        assert set(Submission.objects.values_list("deliveries", flat=True)) == {1}
        print(f"{way}: {LEARNERS} answers graded in {seconds:.1f} s")

    def test_plugin(self) -> None:
        """C28: the way of an installed plug-in."""
        self.submit_all()
        self.grade_all("plug-in")

    def test_loopback(self) -> None:
        """C28, C41: the platform's service submits over HTTP, and gets the results over HTTP."""
        use_the_platform_s_service(self, self.url)
        self.submit_all()
        assert set(Submission.objects.values_list("transport", flat=True)) == {"submit"}
        self.grade_all("loopback")
