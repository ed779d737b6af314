"""A course with one problem for an external grader, a learner, and a grader, inside an LMS."""

from __future__ import annotations

import json
from typing import Any

from common.djangoapps.student.tests.factories import CourseEnrollmentFactory, UserFactory
from django.db import connections
from django.test import Client, LiveServerTestCase
from django.urls import reverse
from lms.djangoapps.courseware.models import StudentModule
from xmodule.modulestore import ModuleStoreEnum
from xmodule.modulestore.django import modulestore
from xmodule.modulestore.tests.django_utils import ModuleStoreIsolationMixin, ModuleStoreTestCase
from xmodule.modulestore.tests.factories import BlockFactory, CourseFactory

from tests.lms.inside.olx import OLX, RIGHT
from xqueue_bridge.lms.loader import load_block
from xqueue_bridge.lms.request_cache import clear_request_cache
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.tasks import sweep
from xqueue_bridge.xqueue_service.models import TransportOverride

QUEUE = "python"


class GraderClient:
    """A grader that speaks the XQueue protocol with the LMS's URLs and middleware."""

    def __init__(self, secret: str) -> None:
        self.http = Client(enforce_csrf_checks=True)
        self.secret = secret

    def login(self) -> dict[str, Any]:
        form = {"username": "watcher", "password": self.secret}
        return self._envelope(self.http.post("/xqueue/login/", form))

    def pull(self) -> dict[str, Any]:
        """Return the next submission: the three texts, each parsed."""
        reply = self._envelope(self.http.get(f"/xqueue/get_submission/?queue_name={QUEUE}"))
        assert reply["return_code"] == 0, reply
        return {name: json.loads(text) for name, text in json.loads(reply["content"]).items()}

    def put(self, pulled: dict[str, Any], result: str) -> dict[str, Any]:
        form = {"xqueue_header": json.dumps(pulled["xqueue_header"]), "xqueue_body": result}
        return self._envelope(self.http.post("/xqueue/put_result/", form))

    def _envelope(self, response: Any) -> dict[str, Any]:
        assert response.status_code == 200, response
        return json.loads(response.content)


class CourseFixture:
    """The fixture of all tests here: self.course, self.problem, self.learner, self.grader."""

    OLX = OLX

    def setUp(self) -> None:
        super().setUp()
        self.course = CourseFactory.create()
        chapter = BlockFactory.create(parent=self.course, category="chapter")
        section = BlockFactory.create(
            parent=chapter, category="sequential", graded=True, format="Homework"
        )
        unit = BlockFactory.create(parent=section, category="vertical")
        self.problem = BlockFactory.create(
            parent=unit, category="problem", data=self.OLX, display_name="Print", max_attempts=5
        )
        self.learner = UserFactory.create(password="the-password")
        CourseEnrollmentFactory.create(user=self.learner, course_id=self.course.id)
        self.browser = Client()
        assert self.browser.login(username=self.learner.username, password="the-password")
        self.grader = GraderClient(submission_queue.create_grader("watcher", [QUEUE]))
        TransportOverride.objects.create(scope="course", name=str(self.course.id))

    @property
    def answer_id(self) -> str:
        return f"{self.problem.location.html_id()}_2_1"

    def handle(self, dispatch: str, **fields: str) -> dict[str, Any]:
        """Post to a handler of the problem, as the learner's page does."""
        url = reverse(
            "xblock_handler",
            kwargs={
                "course_id": str(self.course.id),
                "usage_id": str(self.problem.location),
                "handler": "xmodule_handler",
                "suffix": dispatch,
            },
        )
        response = self.browser.post(url, fields)
        assert response.status_code == 200, response
        return json.loads(response.content)

    def submit(self, answer: str = "print(42)") -> dict[str, Any]:
        return self.handle("problem_check", **{f"input_{self.answer_id}": answer})

    def submission(self) -> Submission:
        """Return the learner's newest submission."""
        return Submission.objects.filter(user_id=self.learner.pk).latest("pk")

    def apply_replies(self) -> None:
        """Do what the sweeper does."""
        sweep()

    def grade(self, result: str = RIGHT) -> None:
        """Pull, post the result, and apply it."""
        if not self.grader.http.cookies:
            assert self.grader.login()["return_code"] == 0
        assert self.grader.put(self.grader.pull(), result)["return_code"] == 0
        self.apply_replies()

    def row(self) -> StudentModule:
        """Return the learner's row at the problem."""
        return StudentModule.objects.get(
            student_id=self.learner.pk, module_state_key=self.problem.location
        )

    def mark(self) -> dict[str, Any]:
        """Return the entry of the answer in the learner's state."""
        return json.loads(self.row().state)["correct_map"][self.answer_id]

    def change(self, **fields: Any) -> None:
        """Publish other settings of the problem, as a course author does."""
        author = ModuleStoreEnum.UserID.test
        store = modulestore()
        with store.branch_setting(ModuleStoreEnum.Branch.draft_preferred, self.course.id):
            block = store.get_item(self.problem.location)
            for name, value in fields.items():
                setattr(block, name, value)
            store.update_item(block, author)
            store.publish(self.problem.location, author)
        clear_request_cache()  # a request begins with an empty one
        seen = load_block(self.learner.pk, self.course.id, self.problem.location)
        assert {name: getattr(seen, name) for name in fields} == fields


class CourseTestCase(CourseFixture, ModuleStoreTestCase):
    """Each test is one transaction, which is rolled back."""


class LiveCourseTestCase(CourseFixture, ModuleStoreIsolationMixin, LiveServerTestCase):
    """The LMS listens on a socket; each of its threads has its own connection and transactions."""

    databases = set(connections)

    def setUp(self) -> None:
        self.start_modulestore_isolation()
        self.addCleanup(self.end_modulestore_isolation)
        super().setUp()
