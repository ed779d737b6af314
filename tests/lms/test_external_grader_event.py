"""EXTERNAL_GRADER_SCORE_SUBMITTED of openedx-events, with the real package: sent and received."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest
from openedx_events.learning.data import ExternalGraderScoreData
from openedx_events.learning.signals import EXTERNAL_GRADER_SCORE_SUBMITTED as EVENT

from tests.grader_replies.factories import (
    BLOCK,
    COURSE,
    GOOD,
    OLD,
    make_learner,
    make_reply,
    make_state,
    make_submission,
    received_signals,
)
from xqueue_bridge import signals
from xqueue_bridge.data import Dispatch
from xqueue_bridge.exceptions import EventNotStored
from xqueue_bridge.grader_replies import api
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.submission_queue import legacy
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.tasks import sweep

pytestmark = pytest.mark.django_db(transaction=True)

HANDLERS = "lms.djangoapps.grades.signals.handlers"
BODY = json.dumps({"student_info": json.dumps({"anonymous_student_id": "5afe"})})


@pytest.fixture
def ada() -> int:
    return make_learner()


@pytest.fixture
def platform(monkeypatch) -> list[ExternalGraderScoreData]:
    """Install the platform's receiver; return the events that it has graded on."""
    graded: list[ExternalGraderScoreData] = []

    def handle_external_grader_score(
        signal: Any, sender: Any, score: ExternalGraderScoreData, **kwargs: Any
    ) -> None:
        graded.append(score)

    module = ModuleType(HANDLERS)
    module.handle_external_grader_score = handle_external_grader_score
    for name in ("lms", "lms.djangoapps", "lms.djangoapps.grades", "lms.djangoapps.grades.signals"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["lms.djangoapps.grades.signals"].handlers = module
    monkeypatch.setitem(sys.modules, HANDLERS, module)
    EVENT.connect(handle_external_grader_score)
    return graded


def apply(user_id: int, body: str = GOOD, **fields: Any) -> ReceivedReply:
    """Apply a grader's reply to the learner's waiting state."""
    dispatch = fields.pop("dispatch", Dispatch.SCORE_UPDATE)
    submission = make_submission(user_id, age=OLD, dispatch=dispatch, points={"a_2_1": 1.5})
    submission.content.body = BODY
    submission.content.save()
    reply = make_reply(submission, body, **fields)
    assert api.apply_reply(reply.pk) == "applied"
    return reply


def sent_by_upstream(learner: int, **changes: Any) -> None:
    """Send what edx-submissions sends when one of its graders has posted a result."""
    members = {
        "points_possible": 1,
        "points_earned": 1,
        "course_id": str(COURSE),
        "score_msg": GOOD,
        "submission_id": 4711,
        "user_id": str(learner),
        "module_id": str(BLOCK),
        "queue_key": "key-1",
        "queue_name": "python",
    }
    EVENT.send_event(send_robust=False, score=ExternalGraderScoreData(**{**members, **changes}))


class TestSent:
    def test_grade_is_sent_with_the_members_of_the_event(self, ada, connect):
        """C10: integers, as the event defines them; the exact points are in score_msg."""
        connect(SEND_EXTERNAL_GRADER_EVENT=True)
        make_state(ada)
        with received_signals(EVENT) as received, received_signals(signals.reply_applied) as exact:
            half = json.dumps({"correct": False, "score": 1.25, "msg": "<b>nearly</b>"})
            reply = apply(ada, half)
        [event] = received
        assert event["score"] == ExternalGraderScoreData(
            points_possible=2,
            points_earned=1,
            course_id=str(COURSE),
            score_msg=half,
            submission_id=reply.submission_id,
            user_id="5afe",
            module_id=str(BLOCK),
            queue_key="key-1",
            queue_name="python",
        )
        assert event["metadata"].event_type == EVENT.event_type
        [signal] = exact
        assert (signal["points"], signal["max_points"]) == (1.25, 1.5)
        assert signal["submission_id"] == reply.submission_id

    def test_one_statement(self, ada, django_assert_num_queries):
        reply = make_reply(make_submission(ada))
        with django_assert_num_queries(1):
            assert api.external_grade(reply.pk).earned == 1

    def test_off_by_default(self, ada, connect):
        connect()
        make_state(ada)
        with received_signals(EVENT) as received:
            apply(ada)
        assert received == []

    def test_failure_reply_and_trial_run_are_no_grades(self, ada, connect):
        connect(SEND_EXTERNAL_GRADER_EVENT=True)
        make_state(ada)
        waiting = {"input_state": {"a_2_1": {"queuestate": "queued", "queuekey": "key-1"}}}
        with received_signals(EVENT) as received:
            failure = api.store_failure_reply(make_submission(ada, age=OLD).pk)
            assert ReceivedReply.objects.get(pk=failure).status == "applied"
            make_state(ada, waiting)
            apply(ada, dispatch=Dispatch.UNGRADED_RESPONSE)
        assert received == []

    def test_error_of_a_receiver_costs_no_grade(self, ada, connect):
        connect(SEND_EXTERNAL_GRADER_EVENT=True)
        make_state(ada)

        def fail(**kwargs: Any) -> None:
            raise RuntimeError

        EVENT.connect(fail)
        assert apply(ada).pk
        assert ReceivedReply.objects.get().status == "applied"

    def test_points_that_the_backend_does_not_know(self, ada):
        """The callback backend stores none: the grader's own, and as many possible at least."""
        submission = make_submission(ada, points={})
        reply = make_reply(submission, json.dumps({"correct": True, "score": 3, "msg": "-"}))
        grade = api.external_grade(reply.pk)
        assert (grade.earned, grade.possible) == (3, 3)
        assert grade.anonymous_user_id == str(ada)


class TestReceived:
    def test_result_is_applied_once(self, ada, connect):
        """C28: a block that waits for a grader of edx-submissions gets its result."""
        connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
        make_state(ada)
        sent_by_upstream(ada)
        sent_by_upstream(ada)
        assert learner_state.read_state(ada, BLOCK, COURSE)["score"]["raw_earned"] == 1
        [reply] = ReceivedReply.objects.all()
        assert (reply.source, reply.status) == ("event", "applied")
        assert reply.submission.transport == Submission.Transport.LEGACY

    def test_state_that_is_saved_later_gets_the_result(self, ada, connect):
        connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
        sent_by_upstream(ada)
        assert ReceivedReply.objects.get().status == "pending"
        make_state(ada)
        ReceivedReply.objects.update(next_attempt_at=ReceivedReply.objects.get().received_at)
        sweep()
        assert ReceivedReply.objects.get().status == "applied"

    def test_invalid_result_ends_the_waiting(self, ada, connect):
        """The learner gets a failure reply, as from the callback of a legacy server."""
        connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
        make_state(ada)
        sent_by_upstream(ada, score_msg='{"score": 1}')
        assert learner_state.read_state(ada, BLOCK, COURSE)["correct_map"]["a_2_1"]["msg"]
        assert set(ReceivedReply.objects.values_list("status", flat=True)) == {
            "rejected",
            "applied",
        }

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"course_id": "x"}, "course_id: is not a key"),
            ({"module_id": "x"}, "mod_id: is not a key"),
            ({"user_id": "unknown"}, "user_id: is no learner's id"),
            ({"user_id": "4711"}, "userid: no such learner"),
            ({"queue_key": None}, "lms_key"),
            ({"score_msg": None}, "score_msg: is missing"),
        ],
    )
    def test_event_that_belongs_to_nothing_is_ignored(self, ada, connect, caplog, changes, reason):
        connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
        sent_by_upstream(ada, **changes)
        assert reason in caplog.text
        assert not ReceivedReply.objects.exists()

    def test_submission_of_our_table_needs_its_pull_key(self, ada, connect, caplog):
        """C80: an event does not prove who has graded it."""
        connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
        make_submission(ada)
        sent_by_upstream(ada)
        assert "answered by put_result" in caplog.text
        assert not ReceivedReply.objects.exists()

    def test_sender_is_told_to_repeat_it(self, ada, connect, monkeypatch):
        connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
        monkeypatch.setattr(legacy, "MAX_UNMATCHED_AT_BLOCK", 0)
        with pytest.raises(EventNotStored):
            sent_by_upstream(ada)

    def test_our_own_event_is_ignored(self, ada, connect):
        connect(SEND_EXTERNAL_GRADER_EVENT=True, RECEIVE_EXTERNAL_GRADER_EVENT=True)
        make_state(ada)
        with received_signals(EVENT) as received:
            apply(ada)
        assert len(received) == 1
        assert ReceivedReply.objects.count() == 1


class TestBesideThePlatform:
    """The platform's receiver grades on each event that it gets."""

    def test_grade_of_the_bridge_is_not_graded_again(self, ada, connect, platform):
        """C121: sent to the receivers of the host, and not to the platform's."""
        connect(SEND_EXTERNAL_GRADER_EVENT=True)
        make_state(ada)
        with received_signals(EVENT) as received:
            apply(ada)
        assert len(received) == 1
        assert platform == []
        sent_by_upstream(ada)
        assert [score.submission_id for score in platform] == [4711]

    def test_received_event_is_applied_by_us_alone(self, ada, connect, platform):
        connect(RECEIVE_EXTERNAL_GRADER_EVENT=True)
        make_state(ada)
        sent_by_upstream(ada)
        assert platform == []
        assert ReceivedReply.objects.get().status == "applied"

    def test_switched_off_nothing_changes(self, ada, connect, platform):
        connect()
        sent_by_upstream(ada)
        assert len(platform) == 1
        assert not ReceivedReply.objects.exists()


def test_without_openedx_events_nothing_is_connected(connect, monkeypatch):
    monkeypatch.setitem(sys.modules, "openedx_events.learning", None)
    before = list(EVENT.receivers)
    connect(SEND_EXTERNAL_GRADER_EVENT=True)
    assert EVENT.receivers == before
