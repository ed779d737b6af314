"""Events of openedx-events and filters of openedx-filters, with the LMS's own packages."""

from __future__ import annotations

from typing import Any

from common.djangoapps.student.models import AnonymousUserId, anonymous_id_for_user
from django.test import override_settings
from openedx_events.learning.data import ExternalGraderScoreData
from openedx_events.learning.signals import EXTERNAL_GRADER_SCORE_SUBMITTED as EVENT
from openedx_filters import PipelineStep

from tests.lms.inside.base import QUEUE, CourseTestCase
from tests.lms.inside.olx import RIGHT
from xqueue_bridge import handlers, signals
from xqueue_bridge.filters import ExternalGraderSubmissionRequested
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.lms import filters
from xqueue_bridge.submission_queue.models import Submission


class Refuse(PipelineStep):
    """Refuse each answer."""

    def run_filter(self, **given: Any) -> dict[str, Any]:
        raise ExternalGraderSubmissionRequested.PreventSubmission("The course is read-only.")


class EventTest(CourseTestCase):
    """The event, switched on as when the LMS starts."""

    def connect(self, **chosen: bool) -> None:
        before = list(EVENT.receivers)
        self.enterContext(override_settings(XQUEUE_BRIDGE=chosen))
        handlers.connect_external_grader_event()

        def restore() -> None:
            EVENT.receivers[:] = before
            EVENT.sender_receivers_cache.clear()
            uid = "xqueue_bridge.send_external_grader_event"
            signals.reply_applied.disconnect(dispatch_uid=uid)

        self.addCleanup(restore)

    def test_grade_is_sent_with_the_learner_s_anonymous_id(self) -> None:
        """The id that the platform's receiver looks up."""
        self.connect(SEND_EXTERNAL_GRADER_EVENT=True)
        received: list[ExternalGraderScoreData] = []

        def receive(score: ExternalGraderScoreData, **kwargs: Any) -> None:
            received.append(score)

        EVENT.connect(receive)
        self.submit()
        with self.captureOnCommitCallbacks(execute=True):
            self.grade()
        [score] = received
        found = AnonymousUserId.objects.get(anonymous_user_id=score.user_id)
        assert found.user == self.learner
        assert (score.points_earned, score.points_possible) == (1, 1)
        assert (score.course_id, score.module_id) == (
            str(self.course.id),
            str(self.problem.location),
        )

    def test_result_of_edx_submissions_is_applied_once(self) -> None:
        """C28: the event names the learner by an anonymous id."""
        self.connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
        self.submit()
        key = self.submission().queue_key
        Submission.objects.all().delete()  # as if it had been sent to edx-submissions
        for _repeated in range(2):
            EVENT.send_event(
                send_robust=False,
                score=ExternalGraderScoreData(
                    points_possible=1,
                    points_earned=1,
                    course_id=str(self.course.id),
                    score_msg=RIGHT,
                    submission_id=4711,
                    user_id=anonymous_id_for_user(self.learner, None),
                    module_id=str(self.problem.location),
                    queue_key=key,
                    queue_name=QUEUE,
                ),
            )
            self.apply_replies()
        assert (self.mark()["correctness"], self.row().grade) == ("correct", 1)
        assert [reply.status for reply in ReceivedReply.objects.all()] == ["applied"]

    def test_learner_reads_the_reason_of_a_filter(self) -> None:
        step = f"{Refuse.__module__}.{Refuse.__name__}"
        with override_settings(OPEN_EDX_FILTERS_CONFIG={filters.SUBMISSION: [step]}):
            page = self.submit()["contents"]
        assert "The course is read-only." in page
        assert not Submission.objects.exists()
