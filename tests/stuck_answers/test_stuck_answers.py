"""Stuck answers of each kind are found and repaired; answers that are not stuck are left alone."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from tests.grader_replies import real_block
from tests.grader_replies.factories import make_learner
from tests.regrading.factories import (
    ANSWER,
    grade,
    graded,
    points_of,
    result,
    start,
    state_of,
    submit,
)
from tests.stuck_answers.factories import (
    dead_reply,
    failed,
    failed_with_late_reply,
    lost,
    no_reply,
    not_applied,
    regrade_ended,
    restore_state,
    superseded,
)
from tests.submission_queue.factories import COURSE, OTHER_PROBLEM, PROBLEM, make_grader
from xqueue_bridge.data import Dispatch
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module, waiting
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.stuck_answers import api as stuck_answers
from xqueue_bridge.stuck_answers import find as find_module
from xqueue_bridge.stuck_answers.kinds import Kind, Outcome, Repaired, StuckAnswer
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import finish, queue
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.xqueue_service.models import TransportOverride

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]

NOW = timedelta(0)


def find(**options: Any) -> list[StuckAnswer]:
    return stuck_answers.find(COURSE, **{"older_than": NOW, **options}).answers


def repair_all() -> list[Repaired]:
    return stuck_answers.repair([each.row_id for each in find()], COURSE)


CASES = [
    (lost, Kind.LOST, Outcome.ENDED),
    (no_reply, Kind.NO_REPLY, Outcome.OFFERED),
    (superseded, Kind.NO_REPLY, Outcome.OFFERED),
    (not_applied, Kind.NOT_APPLIED, Outcome.APPLIED),
    (dead_reply, Kind.NOT_APPLIED, Outcome.APPLIED),
    (failed, Kind.FAILED, Outcome.OFFERED),
    (failed_with_late_reply, Kind.FAILED, Outcome.APPLIED),
    (regrade_ended, Kind.REGRADE, Outcome.APPLIED),
]


@pytest.mark.parametrize(("make", "kind", "outcome"), CASES)
def test_each_kind_is_found_and_repaired_once(make, kind, outcome):
    user_id = make()
    (answer,) = find()
    assert (answer.kind, answer.target.user_id) == (kind, user_id)
    (repaired,) = stuck_answers.repair([answer.row_id], COURSE)
    assert (repaired.outcome, repaired.reason) == (outcome, "")
    assert find() == []
    assert stuck_answers.repair([answer.row_id], COURSE) == []
    entry = state_of(user_id)
    if outcome == Outcome.OFFERED:
        assert entry["queuestate"]
        grade(queue.pull("python", None).submission_id, 1)
    assert state_of(user_id)["queuestate"] is None
    assert points_of(user_id) == (0 if outcome == Outcome.ENDED else 1)


def test_learner_of_a_lost_submission_is_told_and_gets_the_attempt_back():
    user_id = lost()
    attempts = student_module.read_state(user_id, PROBLEM, COURSE)["attempts"]
    repair_all()
    state = student_module.read_state(user_id, PROBLEM, COURSE)
    entry = state["correct_map"][ANSWER]
    assert entry["correctness"] == "incomplete"
    assert "could not be graded" in entry["msg"]
    assert state["attempts"] == attempts - 1
    newest = StudentModuleHistory.objects.filter(student_id=user_id).latest("version")
    assert newest.reason == "reply"
    row = Submission.objects.get(user_id=user_id)
    assert (row.status, row.transport) == (Status.ANSWERED, Submission.Transport.LEGACY)


def test_answers_that_something_will_bring_a_reply_to_are_not_found():
    submit(make_learner("waiting"))
    submit(make_learner("leased"), usage_key=OTHER_PROBLEM)
    assert queue.pull("python", None)
    graded("done")
    user_id = failed("told soon")
    (pk,) = Submission.objects.filter(user_id=user_id).values_list("pk", flat=True)
    grader_replies.store_failure_reply(pk)
    ReceivedReply.objects.filter(submission=pk).update(
        status="pending", next_attempt_at=timezone.now()
    )
    restore_state(user_id, Submission.objects.get(pk=pk).queue_key)
    scan = stuck_answers.find(COURSE, older_than=NOW)
    assert (scan.answers, scan.waiting, scan.next) == ([], 3, None)


def test_answer_of_an_open_regrade_is_not_found():
    graded("ada")
    start(keep_feedback=False)
    regrading.release_due()
    assert find() == []


def test_state_that_was_written_lately_is_not_found():
    lost()
    assert find(older_than=timedelta(minutes=1)) == []


def test_other_course_is_neither_found_nor_repaired():
    user_id = lost()
    (answer,) = find()
    other = type(COURSE).from_string("course-v1:DemoX+CS102+2026")
    assert stuck_answers.find(other, older_than=NOW).answers == []
    assert stuck_answers.repair([answer.row_id], other) == []
    assert state_of(user_id)["queuestate"]
    assert len(stuck_answers.find(older_than=NOW).answers) == 1


def test_submissions_of_a_legacy_server_are_counted_only(settings):
    lost()
    TransportOverride.objects.create(scope="site", name="", use_submissions_table=False)
    scan = stuck_answers.find(COURSE, older_than=NOW)
    assert (scan.answers, scan.at_legacy_server) == ([], 1)


def test_each_lost_submission_of_a_legacy_server_is_counted_and_others_are_found():
    for name in ("ada", "bob"):
        lost(name)
    user_id = not_applied("eve")
    TransportOverride.objects.create(scope="site", name="", use_submissions_table=False)
    scan = stuck_answers.find(COURSE, older_than=NOW)
    assert (scan.waiting, scan.at_legacy_server) == (3, 2)
    assert [each.target.user_id for each in scan.answers] == [user_id]


def test_no_repair_begins_after_the_time_and_what_is_left_is_found_again():
    lost()
    (answer,) = find()
    assert stuck_answers.repair([answer.row_id], COURSE, seconds=0) == []
    assert find() == [answer]


def test_lost_submission_is_ended_once():
    user_id = lost()
    (answer,) = find()
    for _ in range(2):
        submission_queue.end_lost(answer.target, answer.queue_key)
    assert Submission.objects.filter(user_id=user_id).count() == 1


@pytest.mark.parametrize("make", [no_reply, failed])
def test_submission_without_a_body_is_ended(make):
    user_id = make()
    SubmissionContent.objects.update(body="")
    (repaired,) = repair_all()
    assert repaired.outcome == Outcome.ENDED
    assert "could not be graded" in state_of(user_id)["msg"]


def test_trial_run_is_ended():
    user_id = make_learner()
    state = {"input_state": {"m_1": {"queuestate": "queued", "queuekey": "trial"}}}
    student_module.save_fields(user_id, COURSE, PROBLEM, state)
    (answer,) = find()
    assert (answer.kind, answer.target.dispatch) == (Kind.LOST, Dispatch.UNGRADED_RESPONSE)
    assert [each.outcome for each in repair_all()] == [Outcome.ENDED]
    entry = student_module.read_state(user_id, PROBLEM, COURSE)["input_state"]["m_1"]
    assert entry["queuestate"] is None
    assert "could not be graded" in entry["queue_msg"]


def test_reply_that_cannot_be_applied_still_waits_with_the_reason(settings):
    """A permanent error makes a reply dead after three attempts, each of a repair of its own."""
    user_id = dead_reply()
    settings.XQUEUE_BRIDGE = {
        "COURSE_STRUCTURE_BACKEND": None,
        "REPLY_BACKEND": "block",
        "BLOCK_LOADER": f"{__name__}.no_block",
    }
    (answer,) = find()
    (repaired,) = stuck_answers.repair([answer.row_id], COURSE)
    assert repaired.outcome == Outcome.PENDING
    for _ in range(2):
        ReceivedReply.objects.update(next_attempt_at=timezone.now())
        grader_replies.apply_due()
    assert ReceivedReply.objects.get().status == "dead"
    (answer,) = find()
    assert answer.target.user_id == user_id


def test_dead_reply_without_attempts_left_gives_its_reason(monkeypatch):
    dead_reply()
    monkeypatch.setattr(grader_replies, "apply_waiting", lambda *args: None)
    ReceivedReply.objects.update(last_error="There is no such block.")
    (repaired,) = repair_all()
    assert repaired.outcome == Outcome.NOT_REPAIRED
    assert repaired.reason == "There is no such block."


def test_late_result_that_is_not_applied_at_once_is_pending(monkeypatch):
    """Graders are not offered the submission, and the sweeper applies the result."""
    user_id = failed_with_late_reply()
    monkeypatch.setattr(grader_replies, "apply_waiting", lambda *args: None)
    (repaired,) = repair_all()
    assert (repaired.outcome, repaired.reason) == (Outcome.PENDING, "")
    assert queue.pull("python", None) is None
    grader_replies.apply_due()
    assert points_of(user_id) == 1


def no_block(user_id, course_key, usage_key) -> None:
    return None


@pytest.mark.parametrize(
    "change",
    [lambda rows: rows.delete(), lambda rows: rows.update(user_id=4711)],
    ids=["deleted", "another learner's"],
)
def test_regrade_whose_original_is_gone_still_waits(change):
    user_id = regrade_ended()
    change(Submission.objects.filter(regrade_of=None))
    (repaired,) = repair_all()
    assert repaired.outcome == Outcome.NOT_REPAIRED
    assert "is not stored" in repaired.reason
    assert points_of(user_id) == 1


def delete_state(user_id: int) -> None:
    StudentModule.objects.filter(student_id=user_id).delete()


@pytest.mark.parametrize("change", [delete_state, submit])
def test_state_that_no_longer_waits_for_the_regrade_is_left_as_it_is(change):
    """Between the search and its repair the state was deleted, or the learner answered again."""
    user_id = regrade_ended()
    (answer,) = find()
    change(user_id)
    before = student_module.read_state(user_id, PROBLEM, COURSE)
    with transaction.atomic():
        assert not grader_replies.wait_for_other(answer.target, answer.queue_key, "original")
    assert student_module.read_state(user_id, PROBLEM, COURSE) == before


# -- reply backend "block", and the LMS's own table


@pytest.mark.parametrize("name", ["one", "two", "files"])
def test_block_that_waits_for_lost_submissions_is_ended(settings, name):
    settings.XQUEUE_BRIDGE = {
        "COURSE_STRUCTURE_BACKEND": None,
        "REPLY_BACKEND": "block",
        "BLOCK_LOADER": "tests.grader_replies.real_block.load_block",
    }
    user_id = make_learner()
    sent = real_block.submit_answers(user_id, name)
    Submission.objects.all().delete()
    assert [each.outcome for each in repair_all()] == [Outcome.ENDED] * len(sent)
    state = student_module.read_state(user_id, sent[0].usage_key, COURSE)
    assert state["attempts"] == 0
    for entry in state["correct_map"].values():
        assert (entry["queuestate"], entry["correctness"]) == (None, "incomplete")
        assert "fault of the grading service" in entry["msg"]
    assert find() == []


def test_platforms_table_is_read_if_replies_are_applied_there(settings, monkeypatch):
    """The rows of its model have the same columns."""
    lost()
    for module in (waiting.platform_state, find_module):
        name = "student_module" if module is waiting.platform_state else "platform_model"
        monkeypatch.setattr(module, name, lambda: StudentModuleHistory)
    assert len(find()) == 1
    assert not find_module.reads_platform()
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "REPLY_BACKEND": "block"}
    assert find_module.reads_platform()


@pytest.mark.parametrize(("backend", "is_possible"), [("state", True), ("callback", False)])
def test_state_of_another_process_cannot_be_searched(settings, backend, is_possible):
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "REPLY_BACKEND": backend}
    assert (stuck_answers.can_find() == "") == is_possible


# -- the scan


def test_scan_ends_at_its_bounds_and_goes_on(monkeypatch):
    monkeypatch.setattr(waiting, "PAGE", 2)
    users = [lost(f"learner {n}") for n in range(5)]
    found, after, scans = [], 0, 0
    while after is not None:
        scan = stuck_answers.find(COURSE, after=after, older_than=NOW, most=1)
        found += [each.target.user_id for each in scan.answers]
        after, scans = scan.next, scans + 1
    assert (found, scans) == (users, 3)
    assert stuck_answers.find(COURSE, older_than=NOW, seconds=0).next is not None


@pytest.mark.parametrize("number", [1, 20])
def test_scan_takes_five_statements_for_any_number(number, django_assert_num_queries):
    """Ids, states; submissions, replies; transport of the course."""
    for n in range(number):
        lost(f"lost {n}")
        not_applied(f"stored {n}")
    with django_assert_num_queries(5):
        assert len(find()) == 2 * number


# -- races


def run_at_once(*jobs: Any) -> None:
    barrier = threading.Barrier(len(jobs))

    def run(job: Any) -> None:
        try:
            barrier.wait(10)
            job()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)


@pytest.mark.parametrize("repetition", range(5))
@pytest.mark.parametrize("make", [lost, no_reply, dead_reply, failed_with_late_reply])
def test_two_repairs_at_once_have_one_outcome(make, repetition):
    """SG12: the attempt is given back once, and the grade is applied once."""
    user_id = make()
    attempts = student_module.read_state(user_id, PROBLEM, COURSE)["attempts"]
    run_at_once(repair_all, repair_all)
    grader_replies.apply_due()
    state = student_module.read_state(user_id, PROBLEM, COURSE)
    if make is no_reply:
        assert queue.pull("python", None)
        assert queue.pull("python", None) is None
        return
    assert state["attempts"] == attempts - (make is lost)
    assert state["correct_map"][ANSWER]["queuestate"] is None
    assert not ReceivedReply.objects.filter(status="pending").exists()


@pytest.mark.parametrize("repetition", range(5))
def test_callback_during_the_repair_of_a_lost_submission_leaves_one_outcome(repetition, client):
    """A reply of a legacy server arrives while the repair runs: it counts, or the failure does."""
    user_id = lost()
    key = state_of(user_id)["queuestate"]["key"]
    path = f"/courses/{COURSE}/xqueue/{user_id}/{PROBLEM}/score_update"
    header = json.dumps({"lms_callback_url": path, "lms_key": key, "queue_name": "python"})
    form = {"xqueue_header": header, "xqueue_body": result(1)}
    run_at_once(repair_all, lambda: client.post(path, form))
    grader_replies.apply_due()
    entry = state_of(user_id)
    assert entry["queuestate"] is None
    is_graded = entry["correctness"] == "correct"
    assert points_of(user_id) == (1 if is_graded else 0)
    attempts = student_module.read_state(user_id, PROBLEM, COURSE)["attempts"]
    assert attempts == (1 if is_graded else 0)


@pytest.mark.parametrize("repetition", range(5))
def test_late_result_during_the_repair_of_a_failed_submission_is_not_lost(repetition):
    user_id = make_learner()
    grader = make_grader()
    submit(user_id)
    pulled = grader.pull()
    Submission.objects.update(
        status=Status.FAILED, available_at=None, due_at=None, finished_at=timezone.now()
    )
    run_at_once(repair_all, lambda: grader.put(pulled.header, result(1)))
    finish.requeue(Submission.objects.filter(status="failed").values_list("pk", flat=True))
    grader_replies.apply_due()
    entry = state_of(user_id)
    if entry["queuestate"]:
        # The repair was first; the grader's key is no longer valid, and it is offered again.
        assert grader.put(grader.pull().header, result(1))["return_code"] == 0
    assert points_of(user_id) == 1
    assert ReceivedReply.objects.filter(status="applied").count() == 1
