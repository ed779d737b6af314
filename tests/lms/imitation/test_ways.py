"""A submission's whole way through the imitation of an LMS, for each way in."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from common.djangoapps.track.middleware import EVENTS
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from lms.djangoapps.courseware import block_render
from lms.djangoapps.courseware.models import StudentModule
from opaque_keys.edx.keys import CourseKey
from opaque_keys.edx.locator import CourseLocator
from openedx.core.djangoapps.user_api.accounts.signals import USER_RETIRE_LMS_MISC
from openedx.core.djangoapps.waffle_utils.models import WaffleFlagCourseOverrideModel
from openedx_events.learning.data import ExternalGraderScoreData
from openedx_events.learning.signals import EXTERNAL_GRADER_SCORE_SUBMITTED as EVENT
from xmodule.modulestore.django import LmsRuntime, modulestore
from xmodule.services import XQueueService as PlatformService

from demo.services import anonymous_id
from tests.lms.inside.olx import OLX, RIGHT
from xqueue_bridge import XQueueService
from xqueue_bridge.conf import options
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.lms.loader import load_block
from xqueue_bridge.lms.waffle import FLAG_NAME
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.tasks import sweep
from xqueue_bridge.worker import enqueue
from xqueue_bridge.xqueue_service.models import TransportOverride

# pytest does not look for a conftest above the folder of its pytest.ini.
pytest_plugins = ["tests.lms.conftest"]
COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
PROBLEM = COURSE.make_usage_key("problem", "print")
ANSWER = f"{PROBLEM.html_id()}_2_1"


class Lms:
    """One learner's browser, and one grader, at the imitation."""

    def __init__(self, user: Any, base: str) -> None:
        self.user = user
        self.base = base
        self.browser, self.grader = Client(), Client(enforce_csrf_checks=True)
        self.browser.force_login(user)
        self.secret = submission_queue.create_grader("watcher", ["python"])

    def switch(self, choice: str = "on") -> None:
        WaffleFlagCourseOverrideModel.objects.create(
            waffle_flag=FLAG_NAME, scope=str(COURSE), override_choice=choice
        )

    def submit(self) -> dict[str, Any]:
        url = reverse(
            "xblock_handler",
            kwargs={
                "course_id": str(COURSE),
                "usage_id": str(PROBLEM),
                "handler": "xmodule_handler",
                "suffix": "problem_check",
            },
        )
        response = self.browser.post(url, {f"input_{ANSWER}": "print(42)"})
        assert response.status_code == 200
        return response.json()

    def grade(self) -> None:
        login = {"username": "watcher", "password": self.secret}
        assert self.grader.post("/xqueue/login/", login).json()["return_code"] == 0
        pulled = self.grader.get("/xqueue/get_submission/?queue_name=python").json()
        assert pulled["return_code"] == 0, pulled
        header = json.loads(pulled["content"])["xqueue_header"]
        # As if the learner's state had been saved some seconds ago.
        Submission.objects.update(created_at=timezone.now() - timedelta(minutes=1))
        form = {"xqueue_header": header, "xqueue_body": RIGHT}
        assert self.grader.post("/xqueue/put_result/", form).json()["return_code"] == 0
        sweep()

    def row(self) -> StudentModule:
        return StudentModule.objects.get(student=self.user, module_state_key=PROBLEM)

    def mark(self) -> tuple[Any, Any, float | None]:
        """Return correctness, whether the answer is queued, and the grade."""
        row = self.row()
        entry = json.loads(row.state)["correct_map"][ANSWER]
        return entry["correctness"], entry["queuestate"] is not None, row.grade


@pytest.fixture
def lms(transactional_db, live_server, settings, django_user_model, monkeypatch) -> Lms:
    # A reply is applied when its response is there, and not some moments later in a thread.
    monkeypatch.setattr(enqueue, "threads_run", lambda: False)
    store = modulestore()
    store.courses[COURSE] = SimpleNamespace(id=COURSE)
    store.problems[PROBLEM] = OLX
    user = django_user_model.objects.create_user("learner", "learner@example.com")
    store.enrolled.add((user.pk, COURSE))
    settings.LMS_ROOT_URL = live_server.url
    EVENTS.clear()
    yield Lms(user, live_server.url)
    store.problems.clear()
    store.courses.clear()
    store.enrolled.clear()


def test_plugin(lms) -> None:
    """C28, C120, C129: installed, and nothing else; the platform's flag switches the course."""
    assert block_render.XQueueService is XQueueService
    lms.switch()
    lms.submit()
    assert lms.mark() == ("incomplete", True, 0)
    assert Submission.objects.get().transport == "table"
    requests_of_learner = len(EVENTS)
    modulestore().enrolled.clear()  # the learner leaves the course
    lms.grade()
    assert lms.mark() == ("correct", False, 1)
    assert ReceivedReply.objects.get().status == "applied"
    # Nothing of the grader in the tracking log, and no session of the LMS for it.
    assert len(EVENTS) == requests_of_learner
    assert Session.objects.count() == 1
    assert "sessionid" not in lms.grader.cookies


def test_loopback(lms, settings, monkeypatch) -> None:
    """C28, C41: the platform's own service submits over HTTP to this site."""
    monkeypatch.setattr(block_render, "XQueueService", PlatformService)
    account = submission_queue.create_grader("lms", may_submit=True)
    settings.XQUEUE_INTERFACE = {
        "url": lms.base,
        "django_auth": {"username": "lms", "password": account},
    }
    settings.XQUEUE_BRIDGE = {"CALLBACK_PREFIXES": (f"{lms.base}/courses/",)}
    lms.submit()
    assert lms.mark() == ("incomplete", True, 0)
    assert Submission.objects.get().transport == "submit"
    lms.grade()
    assert lms.mark() == ("correct", False, 1)


def test_callback_backend(lms, settings) -> None:
    """The plug-in, whose replies are posted to the LMS's own view."""
    prefixes = (f"{lms.base}/courses/",)
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "callback", "CALLBACK_PREFIXES": prefixes}
    lms.switch()
    lms.submit()
    lms.grade()
    assert lms.mark() == ("correct", False, 1)
    assert ReceivedReply.objects.get().status == "applied"


def test_deprecated_keys(lms) -> None:
    """C122: a module store finds a block of an old course by the key with its run."""
    course = CourseLocator("DemoX", "CS101", "2026", deprecated=True)
    problem = course.make_usage_key("problem", "print")
    modulestore().courses[course], modulestore().problems[problem] = SimpleNamespace(), OLX
    TransportOverride.objects.create(scope="course", name="DemoX/CS101/2026")
    block = load_block(lms.user.pk, course, problem)
    block.handle_ajax("problem_check", {f"input_{problem.html_id()}_2_1": "print(42)"})
    block.save()
    lms.grade()
    assert StudentModule.objects.get(course_id=course).grade == 1


def test_own_assignment(lms, settings, monkeypatch) -> None:
    """Switched off, the platform's service stays; a site may still assign ours itself."""
    settings.XQUEUE_BRIDGE = {"REPLACE_XQUEUE_SERVICE": False}
    monkeypatch.setattr(block_render, "XQueueService", PlatformService)
    apps.get_app_config("xqueue_bridge")._install_service()
    assert block_render.XQueueService is PlatformService
    monkeypatch.setattr(block_render, "XQueueService", XQueueService)
    lms.switch()
    lms.submit()
    lms.grade()
    assert lms.mark() == ("correct", False, 1)


def test_settings_and_urls(lms, settings) -> None:
    """Each obstacle that needed a setting by hand has none."""
    call_command("check", "--tag", "xqueue_bridge")
    assert options().REPLY_BACKEND == "block"
    assert "xqueue_bridge" in settings.STORAGES
    assert lms.grader.get("/xqueue/status/").json()["content"] == "OK"
    # The other URLs below /xqueue/ stay those of edx-submissions.
    assert lms.grader.get("/xqueue/else/").content == b"edx-submissions"


def test_newer_answer_supersedes_the_one_that_waits(lms, settings) -> None:
    """C21: graders get only the newer answer, as with a state in our tables."""
    settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS = 0
    lms.switch()
    lms.submit()
    Submission.objects.update(queue_key="of the attempt before")
    lms.submit()
    statuses = Submission.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ["superseded", "waiting"]


def test_failed_answer_is_given_back_and_requeued(lms, settings) -> None:
    """C77, C123, C127: the platform's block waits again, and the result counts."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    lms.switch()
    lms.submit()
    assert json.loads(lms.row().state)["attempts"] == 1
    Submission.objects.update(status="leased", deliveries=1, available_at=timezone.now())
    sweep()
    assert lms.mark() == ("incomplete", False, 0)
    assert json.loads(lms.row().state)["attempts"] == 0
    assert submission_queue.requeue([Submission.objects.get().pk]) == 1
    assert lms.mark() == ("incomplete", True, 0)
    assert json.loads(lms.row().state)["attempts"] == 1
    lms.grade()
    assert lms.mark() == ("correct", False, 1)


def test_retired_user(lms) -> None:
    """C125: the platform's signal empties what the learner wrote."""
    lms.switch()
    lms.submit()
    USER_RETIRE_LMS_MISC.send(sender=object, user=lms.user)
    assert SubmissionContent.objects.get().body == ""


@pytest.fixture
def scores(lms, monkeypatch) -> list[float]:
    """Return the scores that the learner's block publishes from now on; an answer waits."""
    published: list[float] = []
    lms.switch()
    lms.submit()
    publish = LmsRuntime.publish

    def record(self: Any, block: Any, event_type: str, event: dict[str, Any]) -> None:
        if event_type == "grade":
            published.append(event["value"])
        publish(self, block, event_type, event)

    monkeypatch.setattr(LmsRuntime, "publish", record)
    return published


def test_sent_event_grades_once(lms, connect, scores) -> None:
    """C121: the platform's receiver would publish a second score."""
    received: list[Any] = []

    def receive(score: Any, **kwargs: Any) -> None:
        received.append(score)

    connect(SEND_EXTERNAL_GRADER_EVENT=True)
    EVENT.connect(receive)
    lms.grade()
    assert lms.mark() == ("correct", False, 1)
    assert scores == [1]
    [score] = received
    assert (score.points_earned, score.points_possible) == (1, 1)
    assert (score.course_id, score.module_id) == (str(COURSE), str(PROBLEM))


@pytest.mark.parametrize("is_ours", [False, True])
def test_received_event_grades_once(lms, connect, scores, is_ours) -> None:
    """C28: by the platform's receiver, or by the bridge's instead."""
    connect(RECEIVE_EXTERNAL_GRADER_EVENT=is_ours)
    key = Submission.objects.get().queue_key
    Submission.objects.all().delete()  # as if it had been sent to edx-submissions
    EVENT.send_event(
        score=ExternalGraderScoreData(
            points_possible=1,
            points_earned=1,
            course_id=str(COURSE),
            score_msg=RIGHT,
            submission_id=1,
            user_id=anonymous_id(lms.user.pk),
            module_id=str(PROBLEM),
            queue_key=key,
            queue_name="python",
        )
    )
    assert lms.mark() == ("correct", False, 1)
    assert scores == [1]
    assert ReceivedReply.objects.filter(source="event", status="applied").exists() is is_ours
