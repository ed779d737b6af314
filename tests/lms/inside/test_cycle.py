"""The way of a submission through an LMS: page, submit, pull, result, StudentModule, score."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from importlib import import_module

from common.djangoapps.student.models import CourseEnrollment
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from xmodule.modulestore import ModuleStoreEnum

from tests.lms.inside.base import QUEUE, CourseTestCase
from tests.lms.inside.olx import RIGHT, WRONG
from xqueue_bridge import XQueueService
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status


class CycleTest(CourseTestCase):
    """The plug-in, as it is after installation."""

    def test_submitted_answer_is_graded(self) -> None:
        """C28: an answer of a switched course is a row of our table, and its grade the LMS's."""
        assert self.submit()["success"] == "incorrect"  # capa says so while an answer is queued
        assert self.mark()["queuestate"]["key"] == self.submission().queue_key
        assert (self.row().grade, self.row().max_grade) == (0, 1)
        assert self.grader.login()["return_code"] == 0
        pulled = self.grader.pull()
        assert pulled["xqueue_body"]["student_response"] == "print(42)"
        assert self.grader.put(pulled, RIGHT) == {"return_code": 0, "content": ""}
        self.apply_replies()
        assert ReceivedReply.objects.get().status == ReceivedReply.Status.APPLIED
        assert self.mark()["correctness"] == "correct"
        assert self.mark()["queuestate"] is None
        assert "All tests passed." in self.mark()["msg"]
        assert (self.row().grade, self.row().max_grade) == (1, 1)
        assert "All tests passed." in self.handle("problem_get")["html"]

    def test_wrong_answer_then_a_right_one(self) -> None:
        """C121: each result counts, in order."""
        self.submit("print(41)")
        self.grade(WRONG)
        assert self.mark()["correctness"] == "incorrect"
        self.submit()
        self.grade(RIGHT)
        assert self.mark()["correctness"] == "correct"
        assert self.row().grade == 1
        assert json.loads(self.row().state)["attempts"] == 2

    @override_settings(XQUEUE_WAITTIME_BETWEEN_REQUESTS=0)
    def test_replaced_answer_whose_grader_is_gone(self) -> None:
        """C23: graders get the newer answer only; the older one ends when its lease does."""
        self.submit("print(41)")
        older = self.submission()
        assert self.grader.login()["return_code"] == 0
        self.grader.pull()
        time.sleep(1.1)  # capa's queue keys of one second are equal
        with self.captureOnCommitCallbacks(execute=True):
            self.submit()
        assert Submission.objects.get(pk=older.pk).status == Status.LEASED
        Submission.objects.filter(pk=older.pk).update(
            available_at=timezone.now() - timedelta(minutes=1)
        )
        self.grade(RIGHT)
        assert Submission.objects.get(pk=older.pk).status == Status.SUPERSEDED
        assert (self.row().grade, self.mark()["correctness"]) == (1, "correct")

    def test_grader_is_no_user_of_the_lms(self) -> None:
        """The LMS's middleware finds no account, and writes no session for a grader."""
        before = Session.objects.count()
        self.submit()
        self.grade()
        assert Session.objects.count() == before
        assert "sessionid" not in self.grader.http.cookies

    def test_learner_who_has_left_the_course(self) -> None:
        """C120: the result counts, although the learner could not open the page any more."""
        self.submit()
        CourseEnrollment.objects.filter(user=self.learner).update(is_active=False)
        self.grade()
        assert self.row().grade == 1

    def test_reset_while_queued(self) -> None:
        """C124: a reply to an answer that was reset changes nothing."""
        self.submit()
        self.handle("problem_reset")
        assert "queuestate" not in self.row().state
        self.grade()
        assert ReceivedReply.objects.get().status == ReceivedReply.Status.PENDING
        assert self.row().grade == 0

    def test_deleted_block_ends_the_reply(self) -> None:
        """A reply to a block that is gone is dead after three attempts."""
        self.submit()
        everywhere = ModuleStoreEnum.RevisionOption.all
        self.store.delete_item(self.problem.location, self.learner.pk, revision=everywhere)
        self.grade()
        [reply] = ReceivedReply.objects.all()
        assert reply.last_error == "There is no such block."
        assert reply.status == ReceivedReply.Status.PENDING

    def test_requested_queue_length(self) -> None:
        self.submit()
        assert self.grader.login()["return_code"] == 0
        response = self.grader.http.get(f"/xqueue/get_queuelen/?queue_name={QUEUE}")
        assert json.loads(response.content) == {"return_code": 0, "content": 1}

    def test_check_has_no_errors(self) -> None:
        """The messages of the platform itself are not read."""
        call_command("check", "--tag", "xqueue_bridge")

    def test_our_service_is_in_force(self) -> None:
        installation = apps.get_app_config("xqueue_bridge").service_installation
        assert installation is not None
        assert installation.problem is None
        assert import_module(installation.module).XQueueService is XQueueService
        self.submit()
        assert self.submission().status == Status.WAITING
