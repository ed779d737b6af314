"""Results from a legacy XQueue server: what is stored, refused, bounded and deleted."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from tests.submission_queue.factories import COURSE, GOOD_REPLY, OTHER_PROBLEM, PROBLEM
from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.protocol.headers import parse_callback_header
from xqueue_bridge.submission_queue import legacy
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.submission_queue.stats import queue_stats
from xqueue_bridge.submission_queue.waited_for import find_waited_for
from xqueue_bridge.tasks import sweep
from xqueue_bridge.worker import enqueue

pytestmark = pytest.mark.django_db(transaction=True)

ANSWER = "block_2_1"


@pytest.fixture
def learner_id():
    return get_user_model().objects.create_user("learner").pk


def wait_for(learner_id, key, usage_key=PROBLEM):
    """Save a state that waits for this queue key."""
    entry = {"correctness": "incomplete", "npoints": None, "msg": ""}
    entry["queuestate"] = {"key": key, "time": "20261120101010"}
    state = {"correct_map": {ANSWER: entry}, "score": {"raw_earned": 0, "raw_possible": 1}}
    learner_state.save_fields(learner_id, COURSE, usage_key, state)


def overwrite_state(key):
    """Let every state wait for this key, as a save of a page does that was loaded before."""
    entry = {"correctness": "incomplete", "npoints": None, "queuestate": {"key": key}}
    StudentModule.objects.update(state=json.dumps({"correct_map": {ANSWER: entry}}))


def receive(learner_id, key="live", body=GOOD_REPLY, usage_key=PROBLEM):
    target = Target(learner_id, COURSE, usage_key, Dispatch.SCORE_UPDATE)
    return legacy.receive(target, parse_callback_header(json.dumps({"lms_key": key})), body)


def test_made_up_queue_names_are_no_queues(learner_id):
    """Neither on pages nor in metrics, where each would be kept for days."""
    target = Target(learner_id, COURSE, PROBLEM, Dispatch.SCORE_UPDATE)
    for name in ("made up", ""):
        header = parse_callback_header(json.dumps({"lms_key": f"key {name}", "queue_name": name}))
        assert legacy.receive(target, header, GOOD_REPLY).status == 200
    assert ReceivedReply.objects.exclude(next_attempt_at=None).count() == 2
    assert queue_stats() == []


@pytest.mark.parametrize(("name", "queues"), [("", []), ("python", ["python"])])
def test_taken_reply_counts_in_its_queue_and_an_empty_name_is_no_queue(learner_id, name, queues):
    wait_for(learner_id, "live")
    header = json.dumps({"lms_key": "live", "queue_name": name})
    target = Target(learner_id, COURSE, PROBLEM, Dispatch.SCORE_UPDATE)
    assert legacy.receive(target, parse_callback_header(header), GOOD_REPLY).status == 200
    row = Submission.objects.get()
    assert (row.queue_name, row.content.header) == (name, header)
    assert [each.queue_name for each in queue_stats()] == queues


def statuses(learner_id, number, **kwargs):
    return [receive(learner_id, f"made up {n}", **kwargs).status for n in range(number)]


def points(learner_id):
    return learner_state.read_state(learner_id, PROBLEM, COURSE)["correct_map"][ANSWER]["npoints"]


def reply_of(score):
    return json.dumps({"correct": True, "score": score, "msg": ""})


def test_awaited_reply_is_accepted_after_20_unknown_keys(learner_id):
    """C115: replies with other keys are bounded; the reply that the state waits for is applied."""
    wait_for(learner_id, "live")
    assert statuses(learner_id, 20) == [200] * 16 + [503] * 4
    assert receive(learner_id).status == 200
    assert points(learner_id) == 1


def test_same_key_of_another_learner_or_block_is_another_submission(learner_id):
    """Each reply is stored and applied at the block to whose callback URL it was posted."""
    other_id = get_user_model().objects.create_user("other").pk
    for user_id, usage_key in (
        (learner_id, PROBLEM),
        (other_id, PROBLEM),
        (other_id, OTHER_PROBLEM),
    ):
        wait_for(user_id, "live", usage_key)
        assert receive(user_id, usage_key=usage_key).text == "stored"
        assert learner_state.read_score(user_id, usage_key, COURSE).earned == 1


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ("MAX_UNMATCHED_AT_BLOCK", 3),
        ("MAX_UNMATCHED_OF_LEARNER", 3),
        ("MAX_UNMATCHED_IN_COURSE", 3),
        ("MAX_UNMATCHED", 3),
    ],
)
def test_unmatched_submissions_over_a_bound_are_refused(learner_id, monkeypatch, bound, value):
    """C115: the bounds are for a block, a learner, a course and in total."""
    monkeypatch.setattr(legacy, bound, value)
    assert statuses(learner_id, 5) == [200, 200, 200, 503, 503]
    assert Submission.objects.filter(status=Status.UNMATCHED).count() == 3


@pytest.mark.parametrize(
    ("bound", "status"),
    [("MAX_UNMATCHED_AT_BLOCK", 200), ("MAX_UNMATCHED_OF_LEARNER", 503)],
)
def test_bound_at_one_block_does_not_hold_at_another(learner_id, monkeypatch, bound, status):
    monkeypatch.setattr(legacy, bound, 1)
    assert receive(learner_id, "a").status == 200
    assert receive(learner_id, "b", usage_key=OTHER_PROBLEM).status == status


@pytest.mark.parametrize(
    ("bound", "status"),
    [
        ("MAX_UNMATCHED_AT_BLOCK", 200),
        ("MAX_UNMATCHED_OF_LEARNER", 200),
        ("MAX_UNMATCHED_IN_COURSE", 503),
    ],
)
def test_bound_of_a_learner_does_not_hold_for_another(learner_id, monkeypatch, bound, status):
    monkeypatch.setattr(legacy, bound, 1)
    other_id = get_user_model().objects.create_user("other").pk
    assert receive(learner_id, "a").status == 200
    assert receive(other_id, "b").status == status


@pytest.mark.parametrize(
    ("bound", "status"), [("MAX_UNMATCHED_IN_COURSE", 200), ("MAX_UNMATCHED", 503)]
)
def test_bound_of_a_course_does_not_hold_for_another(learner_id, monkeypatch, bound, status):
    monkeypatch.setattr(legacy, bound, 1)
    assert receive(learner_id, "a").status == 200
    Submission.objects.update(course_key="course-v1:DemoX+Other+2026")
    assert receive(learner_id, "b").status == status


def test_answered_submissions_count_to_no_bound(learner_id, monkeypatch):
    monkeypatch.setattr(legacy, "MAX_UNMATCHED", 1)
    assert receive(learner_id, "a").status == 200
    Submission.objects.update(status=Status.ANSWERED)
    assert receive(learner_id, "b").status == 200


def test_unmatched_invalid_reply_is_refused_and_not_stored(learner_id):
    """C112, C115: the state may wait for the reply when it is posted again."""
    receipt = receive(learner_id, body="{}")
    assert receipt.status == 400
    assert "correct: is missing" in receipt.text
    assert not Submission.objects.exists()


def test_unmatched_reply_over_65536_bytes_is_refused(learner_id):
    """C115: a reply that the state waits for has no such limit."""
    empty = len(json.dumps({"correct": True, "score": 1, "msg": ""}))
    fits = json.dumps({"correct": True, "score": 1, "msg": "x" * (65_536 - empty)})
    assert receive(learner_id, body=fits + " ").status == 413
    assert receive(learner_id, body=fits).status == 200
    wait_for(learner_id, "large")
    assert receive(learner_id, "large", body=fits + " ").status == 200


@pytest.mark.parametrize("backend", ["block", "callback"])
def test_invalid_reply_is_stored_with_another_reply_backend(learner_id, settings, backend):
    """C112: with another backend, the state may wait for it, so a failure reply is stored too."""
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": backend}
    assert receive(learner_id, body="{}").status == 200
    assert [*ReceivedReply.objects.order_by("pk").values_list("source", flat=True)] == [
        "callback",
        ReceivedReply.Source.SYSTEM,
    ]
    assert ReceivedReply.objects.get(source="callback").last_error == "correct: is missing"


def test_further_replies_to_one_submission_are_bounded(learner_id, monkeypatch):
    """C115, C116: after the first reply was applied, MAX_REPLIES different ones are stored."""
    monkeypatch.setattr(legacy, "MAX_REPLIES", 3)
    wait_for(learner_id, "live")
    replies = [reply_of(n / 10) for n in range(5)]
    assert [receive(learner_id, body=body).status for body in replies] == [200, 200, 200, 409, 409]
    assert receive(learner_id, body=replies[1]).status == 200
    assert ReceivedReply.objects.count() == 3
    assert points(learner_id) == 0, "the first one counts"


def test_awaited_reply_is_accepted_over_the_bound_on_replies(learner_id, monkeypatch):
    """C115: earlier replies do not exclude the one that the state waits for."""
    monkeypatch.setattr(legacy, "MAX_REPLIES", 1)
    wait_for(learner_id, "live")
    assert receive(learner_id, body=reply_of(0)).status == 200
    overwrite_state("live")
    assert receive(learner_id, body=reply_of(1)).text == "stored"
    assert points(learner_id) == 1
    assert Submission.objects.count() == 1


def test_repeated_reply_is_applied_if_the_state_waits_again(learner_id):
    """C116, C118: a page that was loaded before had overwritten the applied reply."""
    wait_for(learner_id, "live")
    receive(learner_id)
    ReceivedReply.objects.update(status="dead", next_attempt_at=None)
    overwrite_state("live")
    assert receive(learner_id) == legacy.Receipt(200, "this reply was received before")
    assert points(learner_id) == 1


@pytest.mark.parametrize(("body", "step"), [(GOOD_REPLY, "answered"), ("{}", "refused")])
def test_log_says_whether_a_reply_is_valid(learner_id, caplog, body, step):
    caplog.set_level("INFO")
    wait_for(learner_id, "live")
    receive(learner_id, body=body)
    [record] = [each for each in caplog.records if "got a reply" in each.getMessage()]
    assert (record.step, record.submission_id) == (step, Submission.objects.get().pk)


def test_submission_of_a_legacy_server_has_no_body_to_offer(learner_id):
    """A stuck answer of such a submission is ended, because graders here could not grade it."""
    receive(learner_id)
    waiting = (Target(learner_id, COURSE, PROBLEM, Dispatch.SCORE_UPDATE), "live")
    assert not find_waited_for([waiting])[waiting].has_body


class TestPurge:
    def test_unmatched_submissions_are_deleted_after_an_hour(self, learner_id, settings):
        """C115: content, replies and rows of the score ledger are deleted with them."""
        settings.XQUEUE_BRIDGE = {"STALE_AFTER_SECONDS": 0}
        receive(learner_id, "made up")
        assert ScoreLedger.objects.count() == 1
        Submission.objects.update(finished_at=timezone.now() - timedelta(minutes=59))
        assert legacy.purge_unmatched() == 0
        Submission.objects.update(finished_at=timezone.now() - timedelta(minutes=61))
        assert sweep()["unmatched submissions purged"] == 1
        for model in (Submission, SubmissionContent, ReceivedReply, ScoreLedger):
            assert not model.objects.exists()

    def test_unmatched_submission_with_an_applied_reply_becomes_answered(self, learner_id):
        """C20, C115: the reply was received before the state was saved."""
        receive(learner_id, "early")
        wait_for(learner_id, "early")
        assert points(learner_id) == 1
        Submission.objects.update(finished_at=timezone.now() - timedelta(hours=2))
        assert legacy.purge_unmatched() == 0
        assert Submission.objects.get().status == Status.ANSWERED

    def test_oldest_are_looked_at_first_up_to_the_limit(self, learner_id):
        ages = {"old": 3, "older": 4, "recent": 0}
        for key, hours in ages.items():
            receive(learner_id, key)
            at = timezone.now() - timedelta(hours=hours)
            Submission.objects.filter(queue_key=key).update(finished_at=at)
        ReceivedReply.objects.update(status="stale", next_attempt_at=None)
        assert legacy.purge_unmatched(limit=1) == 1
        assert not Submission.objects.filter(queue_key="older").exists()
        assert legacy.purge_unmatched() == 1
        assert Submission.objects.get().queue_key == "recent"

    @pytest.mark.parametrize("status", [Status.SUPERSEDED, Status.RETIRED])
    def test_old_submission_that_is_not_unmatched_stays(self, learner_id, status):
        receive(learner_id, "old")
        old = timezone.now() - timedelta(hours=2)
        Submission.objects.update(status=status, finished_at=old)
        ReceivedReply.objects.update(status="stale", next_attempt_at=None)
        assert legacy.purge_unmatched() == 0
        assert Submission.objects.get().status == status

    def test_unmatched_submission_with_a_pending_reply_stays(self, learner_id):
        """C115: a reply backend may fail for hours."""
        receive(learner_id, "early")
        Submission.objects.update(finished_at=timezone.now() - timedelta(hours=2))
        assert legacy.purge_unmatched() == 0
        assert Submission.objects.get().status == Status.UNMATCHED


class TestStatements:
    """Number of statements, without those that apply the reply after the response."""

    @pytest.fixture(autouse=True)
    def receiver(self, monkeypatch):
        monkeypatch.setitem(enqueue._kinds, "apply_reply", enqueue.Kind(task=None))

    def test_awaited_reply_takes_seven_statements(self, learner_id, django_assert_num_queries):
        """Two SELECTs; BEGIN, content, submission, reply, COMMIT."""
        wait_for(learner_id, "live")
        with django_assert_num_queries(7):
            receive(learner_id)

    def test_unmatched_reply_takes_eight_statements(self, learner_id, django_assert_num_queries):
        """Three SELECTs; BEGIN, content, submission, reply, COMMIT."""
        with django_assert_num_queries(8):
            receive(learner_id)

    def test_reply_refused_by_a_bound_takes_three_statements(
        self, learner_id, django_assert_num_queries, monkeypatch
    ):
        monkeypatch.setattr(legacy, "MAX_UNMATCHED", 0)
        with django_assert_num_queries(3):
            receive(learner_id)

    def test_reply_to_an_unknown_learner_takes_three_statements(self, django_assert_num_queries):
        with django_assert_num_queries(3):
            assert receive(4711).status == 404
