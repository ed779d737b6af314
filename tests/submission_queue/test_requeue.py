"""Requeue of failed submissions: the learner's block waits again, and the result counts."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    PROBLEM,
    make_grader,
    new_submission,
)
from xqueue_bridge.data import Dispatch
from xqueue_bridge.grader_replies.apply import apply_due
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.submission_queue import finish, queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db(transaction=True)

ANSWER = "loops_2_1"


@pytest.fixture(autouse=True)
def one_delivery(settings):
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}


@pytest.fixture
def learner_id():
    return get_user_model().objects.create_user("learner").pk


@pytest.fixture
def grader():
    return make_grader()


def submit(learner_id, key="key-1", text="print(1)"):
    """Enqueue a submission and save the state that waits for it, as a problem block does."""
    queue.enqueue(new_submission(user_id=learner_id, queue_key=key))
    entry = {"correctness": "incomplete", "npoints": None, "msg": "", "hint": "", "hintmode": None}
    entry["queuestate"] = {"key": key, "time": "20261120101010"}
    state = {
        "attempts": 1,
        "correct_map": {ANSWER: entry},
        "score": {"raw_earned": 0, "raw_possible": 1},
        "student_answers": {ANSWER: text},
    }
    learner_state.save_fields(learner_id, COURSE, PROBLEM, state)


def fail(grader):
    """Pull a submission, let its lease end without a result, and return what was pulled."""
    pulled = grader.pull()
    Submission.objects.filter(pk=pulled.submission_id).update(available_at=timezone.now())
    assert finish.fail_exhausted() == 1
    return pulled


def state_of(learner_id):
    return learner_state.read_state(learner_id, PROBLEM, COURSE)


def entry_of(learner_id):
    return state_of(learner_id)["correct_map"][ANSWER]


def test_failure_reply_says_it_is_no_fault_of_the_answer_and_costs_no_attempt(learner_id, grader):
    """C77, C123: the answer is not called incorrect, and the attempt is not counted."""
    submit(learner_id)
    fail(grader)
    entry = entry_of(learner_id)
    assert (entry["correctness"], entry["npoints"], entry["queuestate"]) == ("incomplete", 0, None)
    assert "fault of the grading service" in entry["msg"]
    assert state_of(learner_id)["attempts"] == 0
    assert ReceivedReply.objects.get().codes == [], "no grader is to blame for its form"


def test_result_after_a_requeue_is_applied(learner_id, grader):
    """C127: the block waits again, a grader grades it, and the learner gets the points."""
    submit(learner_id)
    submission_id = fail(grader).submission_id
    assert finish.requeue([submission_id]) == 1
    assert entry_of(learner_id)["queuestate"]["key"] == "key-1"
    assert StudentModuleHistory.objects.filter(reason="requeue").count() == 1
    assert grader.put(grader.pull().header)["return_code"] == 0
    entry = entry_of(learner_id)
    assert (entry["correctness"], entry["npoints"], entry["queuestate"]) == ("correct", 1, None)
    assert Submission.objects.get().status == Status.ANSWERED
    assert learner_state.read_score(learner_id, PROBLEM, COURSE).earned == 1


def test_submission_that_another_process_requeues_meanwhile_is_requeued_once(
    learner_id, grader, monkeypatch
):
    submit(learner_id)
    pk = fail(grader).submission_id
    before, reopen = state_of(learner_id), finish.grader_replies.reopen

    def requeued_before(*args, **kwargs):
        now = timezone.now()
        Submission.objects.update(status=Status.WAITING, available_at=now, due_at=now)
        return reopen(*args, **kwargs)

    monkeypatch.setattr(finish.grader_replies, "reopen", requeued_before)
    assert finish.requeue([pk]) == 0
    assert state_of(learner_id) == before


def test_failure_reply_that_is_not_applied_yet_is_not_due_after_a_requeue(learner_id, grader):
    """C127: the answer waits again, so the sweeper must not end its waiting."""
    submit(learner_id)
    submission_id = fail(grader).submission_id
    replies = ReceivedReply.objects.filter(submission_id=submission_id)
    replies.update(status="pending", next_attempt_at=timezone.now())
    assert finish.requeue([submission_id]) == 1
    assert (replies.get().status, replies.get().next_attempt_at) == ("rejected", None)
    assert apply_due() == 0


def test_late_result_is_applied_by_a_requeue(learner_id, grader):
    """C127: a submission with a valid late result is not delivered again."""
    submit(learner_id)
    pulled = fail(grader)
    assert "is kept" in grader.put(pulled.header)["content"]
    assert entry_of(learner_id)["npoints"] == 0
    assert finish.requeue([pulled.submission_id]) == 1
    assert entry_of(learner_id)["npoints"] == 1
    assert Submission.objects.get().status == Status.ANSWERED
    assert grader.pull() is None


def test_late_result_of_another_submission_stays_late(learner_id, grader):
    """C127: only that of the requeued submission is applied."""
    ids = {}
    for key in ("key-1", "key-2"):
        submit(learner_id, key)
        pulled = fail(grader)
        grader.put(pulled.header)
        ids[key] = pulled.submission_id
    assert finish.requeue([ids["key-2"]]) == 1
    late = ReceivedReply.objects.filter(source="put_result").values_list("submission_id", "status")
    assert dict(late) == {ids["key-1"]: "late", ids["key-2"]: "applied"}


def test_late_result_is_not_applied_by_a_save_of_an_old_page(learner_id, grader):
    """C118, C127: only a requeue applies it, also if the state waits for its key again."""
    submit(learner_id)
    waiting = state_of(learner_id)
    pulled = fail(grader)
    grader.put(pulled.header)
    learner_state.save_fields(learner_id, COURSE, PROBLEM, waiting)
    assert ReceivedReply.objects.get(source="put_result").status == "late"
    assert entry_of(learner_id)["npoints"] != 1


def test_late_result_is_applied_at_once_with_if_waiting(learner_id, grader, settings):
    """C77, C127: LATE_RESULTS "if_waiting": the result is accepted."""
    settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "LATE_RESULTS": "if_waiting"}
    submit(learner_id)
    pulled = fail(grader)
    form = {"xqueue_header": pulled.header, "xqueue_body": GOOD_REPLY}
    response = grader.http.post("/xqueue/put_result/", form)
    assert response.json() == {"return_code": 0, "content": ""}
    assert "X-XQueue-Warnings" not in response
    entry = entry_of(learner_id)
    assert (entry["correctness"], entry["npoints"]) == ("correct", 1)
    assert Submission.objects.get().status == Status.ANSWERED
    assert grader.put(pulled.header)["content"] == "Incorrect key for submission"


def test_late_result_is_kept_if_the_learner_has_submitted_again(learner_id, grader, settings):
    """C21, C127: LATE_RESULTS "if_waiting" does not change a newer answer's state."""
    settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "LATE_RESULTS": "if_waiting"}
    submit(learner_id)
    pulled = fail(grader)
    submit(learner_id, "key-2", "print(2)")
    before = state_of(learner_id)
    assert "is kept" in grader.put(pulled.header)["content"]
    assert state_of(learner_id) == before
    assert ReceivedReply.objects.get(source="put_result").status == "late"


def test_late_result_is_not_applied_with_never(learner_id, grader, settings):
    """C127: LATE_RESULTS "never": the result is kept, and a requeued submission is graded again."""
    settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "LATE_RESULTS": "never"}
    submit(learner_id)
    pulled = fail(grader)
    assert "is kept" in grader.put(pulled.header)["content"]
    assert finish.requeue([pulled.submission_id]) == 1
    assert ReceivedReply.objects.get(source="put_result").status == "late"
    assert grader.pull().submission_id == pulled.submission_id


def test_submission_can_fail_again_after_a_requeue(learner_id, grader):
    submit(learner_id)
    submission_id = fail(grader).submission_id
    for _ in range(2):
        assert finish.requeue([submission_id]) == 1
        assert fail(grader).submission_id == submission_id
    assert "fault of the grading service" in entry_of(learner_id)["msg"]
    assert ReceivedReply.objects.filter(source="system", status="applied").count() == 1


@pytest.mark.parametrize("text", ["print(1)", "print(2)"])
def test_newer_answer_is_not_overwritten_by_a_requeue(learner_id, grader, text):
    """C21, C127: the newer answer may be graded or waiting."""
    submit(learner_id)
    submission_id = fail(grader).submission_id
    submit(learner_id, "key-2", text)
    assert finish.requeue([submission_id]) == 0
    assert entry_of(learner_id)["queuestate"]["key"] == "key-2"
    grader.put(grader.pull().header)
    before = state_of(learner_id)
    assert finish.requeue([submission_id]) == 0
    assert state_of(learner_id) == before
    assert Submission.objects.get(pk=submission_id).status == Status.FAILED


def test_requeue_without_history_is_refused(learner_id, grader, caplog):
    submit(learner_id)
    submission_id = fail(grader).submission_id
    StudentModuleHistory.objects.all().delete()
    assert finish.requeue([submission_id]) == 0
    assert f"Submission {submission_id} is not requeued" in caplog.text
    assert ReceivedReply.objects.get().status == "applied"


def test_requeue_without_a_stored_state_writes_none(learner_id, grader):
    """C127: with another state store, the submission is delivered again and nothing is written."""
    queue.enqueue(new_submission(user_id=learner_id))
    submission_id = fail(grader).submission_id
    assert finish.requeue([submission_id]) == 1
    assert not StudentModule.objects.exists()
    assert grader.pull().submission_id == submission_id


def test_failed_trial_run_is_requeued_whatever_the_state_waits_for(learner_id, grader):
    """C117, C127: the block shows the output of a trial run in any state."""
    submit(learner_id)
    run = new_submission(
        user_id=learner_id, queue_key="run", dispatch=Dispatch.UNGRADED_RESPONSE, queue_name="runs"
    )
    queue.enqueue(run)
    Submission.objects.filter(queue_key="run").update(status=Status.FAILED)
    before = state_of(learner_id)
    assert finish.requeue([Submission.objects.get(queue_key="run").pk]) == 1
    assert Submission.objects.get(queue_key="run").status == Status.WAITING
    assert state_of(learner_id) == before


def test_requeue_of_waiting_answered_or_unknown_submissions_is_refused(learner_id, grader):
    submit(learner_id)
    ids = list(Submission.objects.values_list("pk", flat=True))
    assert finish.requeue(ids) == 0
    grader.put(grader.pull().header, GOOD_REPLY)
    assert finish.requeue([*ids, 4711]) == 0


def test_age_counts_from_the_requeue(learner_id, grader):
    submit(learner_id)
    submission_id = fail(grader).submission_id
    Submission.objects.update(retry_until=timezone.now() - timedelta(days=1))
    finish.requeue([submission_id])
    assert Submission.objects.get().retry_until > timezone.now() + timedelta(hours=23)


def test_requeue_of_one_part_keeps_the_grade_of_the_other(learner_id, grader):
    """C24, C127: the other part of the problem keeps its grade."""
    other = {"correctness": "correct", "npoints": 1, "msg": "", "queuestate": None}
    submit(learner_id)
    state = state_of(learner_id)
    state["correct_map"]["loops_3_1"] = other
    learner_state.save_fields(learner_id, COURSE, PROBLEM, json.loads(json.dumps(state)))
    finish.requeue([fail(grader).submission_id])
    assert state_of(learner_id)["correct_map"]["loops_3_1"] == other
    assert entry_of(learner_id)["queuestate"]["key"] == "key-1"


def test_late_result_of_a_killed_requeue_is_applied_by_the_sweeper(learner_id, grader, monkeypatch):
    """C105, C127: the requeue makes the reply due, whatever becomes of its process."""
    submit(learner_id)
    pulled = fail(grader)
    grader.put(pulled.header)
    assert ReceivedReply.objects.get(source="put_result").last_error
    with monkeypatch.context() as patch:
        patch.setattr(finish.grader_replies, "apply_waiting", lambda *args: None)
        assert finish.requeue([pulled.submission_id]) == 1
    reply = ReceivedReply.objects.get(source="put_result")
    assert (reply.status, reply.last_error) == ("pending", "")
    assert apply_due() == 1
    assert entry_of(learner_id)["npoints"] == 1


def test_failed_submission_is_named_in_the_log(learner_id, grader, caplog):
    """Kind 14: which submission, queue, learner and block, and what to do."""
    submit(learner_id)
    number = fail(grader).submission_id
    where = f"submission {number}, queue 'python', learner {learner_id}, block {PROBLEM}"
    assert f"failed after 1 deliveries ({where}): requeue it when its graders work" in caplog.text


def test_late_result_is_named_in_the_log_and_the_admin(learner_id, grader, caplog):
    """Kind 14: which submission, and why the reply is not applied."""
    submit(learner_id)
    pulled = fail(grader)
    grader.put(pulled.header)
    assert f"A late reply to submission {pulled.submission_id} is kept" in caplog.text
    reply = ReceivedReply.objects.get(source="put_result")
    assert reply.last_error == "it came after the submission had failed"
