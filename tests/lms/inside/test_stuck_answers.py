"""Answers of real problem blocks that wait without end: found in the LMS's table, and repaired."""

from __future__ import annotations

import json
from datetime import timedelta

from common.djangoapps.student.tests.factories import StaffFactory
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from lms.djangoapps.courseware.models import StudentModule
from lms.djangoapps.grades.api import CourseGradeFactory
from xmodule.modulestore.tests.factories import CourseFactory

from tests.lms.inside.base import CourseTestCase
from tests.lms.inside.olx import RIGHT, WRONG
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.models import StudentModule as OurStudentModule
from xqueue_bridge.stuck_answers import api as stuck_answers
from xqueue_bridge.stuck_answers.kinds import Kind, Repaired
from xqueue_bridge.submission_queue.models import Submission

Outcome = stuck_answers.Outcome


class StuckAnswersTest(CourseTestCase):
    """Each kind, as a restored database has it."""

    def setUp(self) -> None:
        super().setUp()
        self.submit()

    def finish(self, status: str) -> None:
        """Finish the submission, as a process that was stopped at this moment has left it."""
        now = timezone.now()
        rows = Submission.objects.filter(pk=self.submission().pk)
        rows.update(status=status, available_at=None, due_at=None, finished_at=now)

    def restore(self, row: StudentModule) -> None:
        """Write an older state and score of the learner, without the platform's signals."""
        fields = {"state": row.state, "grade": row.grade, "max_grade": row.max_grade}
        StudentModule.objects.filter(pk=row.pk).update(**fields)

    def find(self) -> list[stuck_answers.StuckAnswer]:
        return stuck_answers.find(self.course.id, older_than=timedelta(0)).answers

    def repair(self, kind: Kind) -> Repaired:
        """Check that one answer of this kind is found, and repair it."""
        [answer] = self.find()
        assert (answer.kind, answer.row_id) == (kind, self.row().pk)
        assert answer.target.usage_key == self.problem.location
        [repaired] = stuck_answers.repair([answer.row_id], self.course.id)
        assert (self.find(), repaired.reason) == ([], "")
        return repaired

    def test_answer_that_waits_in_the_queue_is_not_stuck(self) -> None:
        scan = stuck_answers.find(self.course.id, older_than=timedelta(0))
        assert (scan.answers, scan.waiting) == ([], 1)
        assert not OurStudentModule.objects.exists()

    def test_lost_submission(self) -> None:
        """The learner gets the attempt back, and the next answer is graded."""
        Submission.objects.all().delete()
        assert self.repair(Kind.LOST).outcome == Outcome.ENDED
        assert self.mark()["queuestate"] is None
        assert "could not be graded" in self.mark()["msg"]
        assert json.loads(self.row().state)["attempts"] == 0
        assert "could not be graded" in self.handle("problem_get")["html"]
        self.submit()
        self.grade()
        assert (self.row().grade, json.loads(self.row().state)["attempts"]) == (1, 1)

    def test_submission_without_a_reply(self) -> None:
        """Graders are offered it again."""
        self.finish("answered")
        assert self.repair(Kind.NO_REPLY).outcome == Outcome.OFFERED
        self.grade()
        assert (self.mark()["correctness"], self.row().grade) == ("correct", 1)

    def test_state_that_is_older_than_its_reply(self) -> None:
        """The stored reply is applied again, and the course grade follows."""
        before = self.row()
        self.grade()
        self.restore(before)
        # Later than the second look at a page that was loaded before the reply.
        ReceivedReply.objects.update(next_attempt_at=None)
        assert self.repair(Kind.NOT_APPLIED).outcome == Outcome.APPLIED
        assert (self.mark()["correctness"], self.row().grade) == ("correct", 1)
        grade = CourseGradeFactory().read(self.learner, course_key=self.course.id)
        assert grade.problem_scores[self.problem.location].earned == 1

    def test_dead_reply(self) -> None:
        self.finish("answered")
        reply = grader_replies.parse_reply(RIGHT)
        grader_replies.store_reply(self.submission().pk, "put_result", RIGHT, reply=reply)
        ReceivedReply.objects.update(status="dead", next_attempt_at=None)
        assert self.repair(Kind.NOT_APPLIED).outcome == Outcome.APPLIED
        assert self.row().grade == 1

    def test_failure_without_a_message_to_the_learner(self) -> None:
        self.finish("failed")
        assert self.repair(Kind.FAILED).outcome == Outcome.OFFERED
        self.grade(WRONG)
        assert (self.mark()["correctness"], self.row().grade) == ("incorrect", 0)

    def test_result_that_came_after_the_failure(self) -> None:
        self.finish("failed")
        reply = grader_replies.parse_reply(RIGHT)
        grader_replies.store_late_reply(self.submission().pk, "put_result", RIGHT, reply=reply)
        with self.captureOnCommitCallbacks(execute=True):
            assert self.repair(Kind.FAILED).outcome == Outcome.PENDING
        assert (self.mark()["correctness"], self.row().grade) == ("correct", 1)

    def test_page_of_the_course_team(self) -> None:
        """Staff of the course repair it; staff of another course change nothing."""
        Submission.objects.all().delete()
        StudentModule.objects.update(modified=timezone.now() - timedelta(hours=3))
        url = reverse("xqueue_bridge:stuck", kwargs={"course_id": str(self.course.id)})
        form = {"row": [self.row().pk]}
        other = self._staff_of(CourseFactory.create().id)
        assert other.get(url).status_code == other.post(url, form).status_code == 403
        assert self.mark()["queuestate"]
        staff = self._staff_of(self.course.id)
        assert self.learner.username in staff.get(url).content.decode()
        assert staff.post(url, form).status_code == 200
        assert self.mark()["queuestate"] is None

    def _staff_of(self, course_key: object) -> Client:
        staff = StaffFactory.create(course_key=course_key, password="the-password")
        browser = Client()
        assert browser.login(username=staff.username, password="the-password")
        return browser
