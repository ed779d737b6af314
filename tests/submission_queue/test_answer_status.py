"""The status of a learner's newest answers, and the measured rate of a queue."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from tests.grader_replies.factories import make_learner
from tests.regrading.factories import grade, grade_all_again, graded, start, submit
from tests.submission_queue.factories import OTHER_PROBLEM, PROBLEM, make_grader, new_submission
from xqueue_bridge.data import Dispatch
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.operations import api as operations
from xqueue_bridge.operations.api import Order
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.submission_queue import answer_status, finish, queue, rates
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.answer_status import Stage, newest_answers
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.stats import MAX_AHEAD

pytestmark = pytest.mark.django_db(transaction=True)


def only(user_id: int = 7) -> answer_status.AnswerStatus:
    [found] = newest_answers(user_id, PROBLEM)
    return found


def rate(queue_name: str) -> rates.QueueRate:
    return rates.QueueRate(9, 1, 1, grading_p25=2, grading_p50=3, grading_p90=4)


def use_a_grader() -> None:
    make_grader("python")
    Grader.objects.update(last_seen_at=timezone.now())


def fail(submission_id: int) -> None:
    """Let the last delivery of a submission end without a result."""
    queue.pull("python", None)
    Submission.objects.filter(pk=submission_id).update(available_at=F("created_at"))
    assert finish.fail(submission_id, Submission.objects.get(pk=submission_id).deliveries)
    grader_replies.apply_due()


def test_learner_without_an_answer_has_no_status():
    assert newest_answers(7, PROBLEM) == []
    queue.enqueue(new_submission(user_id=8))
    queue.enqueue(new_submission(usage_key=OTHER_PROBLEM))
    queue.enqueue(new_submission(dispatch=Dispatch.UNGRADED_RESPONSE))
    assert newest_answers(7, PROBLEM) == []


def test_answer_that_waits_has_its_position():
    use_a_grader()
    queue.enqueue(new_submission(user_id=8))
    queue.enqueue(new_submission())
    found = only()
    assert (found.stage, found.position, found.has_grader) == (Stage.WAITING, 2, True)
    assert found.seconds is None, "nothing was measured"
    assert not found.is_final


def test_no_estimate_is_made_while_no_grader_runs(monkeypatch):
    monkeypatch.setattr(answer_status, "recent_rate", rate)
    queue.enqueue(new_submission())
    assert (only().has_grader, only().seconds) == (False, None)


def test_answer_that_a_grader_has_tells_since_when():
    queue.enqueue(new_submission())
    queue.pull("python", None)
    found = only()
    assert (found.stage, found.position) == (Stage.GRADING, None)
    assert found.since == Submission.objects.get().leased_at


def test_graded_answer_has_its_points():
    user_id, _ = graded("ada", 1)
    found = only(user_id)
    assert (found.stage, found.points, found.possible, found.correct) == (Stage.GRADED, 1, 1, True)
    assert found.is_final


@pytest.mark.parametrize(
    ("points", "total"),
    [({"loops_2_1": 1, "loops_3_1": 2.5}, 3.5), ({"loops_2_1": 1, "b": "2"}, None), ({}, None)],
)
def test_graded_answer_has_the_points_of_its_problem_if_they_are_known(points, total):
    user_id, _ = graded("ada", 1)
    SubmissionContent.objects.update(points=points)
    assert only(user_id).problem_points == total
    assert only(user_id).possible == points.get("loops_2_1")


def test_answer_in_a_paused_queue_has_a_position_and_no_estimate(monkeypatch):
    monkeypatch.setattr(answer_status, "recent_rate", rate)
    use_a_grader()
    queue.enqueue(new_submission())
    submission_queue.pause_queue("python")
    found = only()
    assert (found.is_paused, found.position, found.seconds) == (True, 1, None)
    assert found.has_grader


def test_newest_answer_counts_not_the_one_before():
    user_id, _ = graded("ada", 1)
    submit(user_id, "another key")
    assert only(user_id).stage == Stage.WAITING


def test_failed_answer_tells_that_the_attempt_came_back(settings):
    user_id = make_learner()
    fail(submit(user_id))
    found = only(user_id)
    assert (found.stage, found.is_attempt_returned, found.message) == (Stage.FAILED, True, "")
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "callback"}
    assert not only(user_id).is_attempt_returned


@pytest.mark.parametrize("is_applied", [True, False])
def test_answer_that_an_operator_ended(is_applied):
    """Also in the moment before the failure reply is applied."""
    user_id = make_learner()
    submit(user_id)
    operations.begin(Order("end", "python"))
    if not is_applied:
        ReceivedReply.objects.update(status="pending")
    found = only(user_id)
    assert found.stage == Stage.STOPPED
    assert (found.is_attempt_returned, found.reply_id is not None) == (is_applied, is_applied)
    assert ReceivedReply.objects.get().source == "operator"


def test_answer_that_is_requeued_after_it_was_ended_waits_again():
    user_id = make_learner()
    pk = submit(user_id)
    operations.begin(Order("end", "python"))
    assert submission_queue.requeue([pk]) == 1
    assert only(user_id).stage == Stage.WAITING


def test_result_that_a_filter_stopped_has_the_reason():
    user_id = make_learner()
    pk = submit(user_id)
    Submission.objects.update(
        status="answered", available_at=None, due_at=None, finished_at=timezone.now()
    )
    grader_replies.store_failure_reply(pk, "The site refuses it.")
    grader_replies.apply_due()
    found = only(user_id)
    assert found.stage == Stage.FAILED
    assert "The site refuses it." in found.message


@pytest.mark.parametrize(
    ("status", "stage"),
    [("pending", Stage.APPLYING), ("dead", Stage.DEAD), ("stale", Stage.ENDED)],
)
def test_reply_that_is_not_applied(status, stage):
    user_id, _ = graded("ada")
    ReceivedReply.objects.update(status=status)
    assert only(user_id).stage == stage


def test_answer_whose_reply_is_lost_is_not_graded():
    """The learner is told to submit again; nothing says that the problem was reset."""
    user_id, _ = graded("ada")
    ReceivedReply.objects.all().delete()
    found = only(user_id)
    assert (found.stage, found.reply_id, found.message) == (Stage.FAILED, None, "")
    assert not found.is_attempt_returned


def test_superseded_answer_has_ended():
    user_id = make_learner()
    submit(user_id)
    Submission.objects.update(status="superseded", available_at=None, due_at=None)
    assert only(user_id).stage == Stage.ENDED


def test_regrade_shows_and_its_points_count():
    user_id, _ = graded("ada", 1)
    start()
    assert not only(user_id).is_regraded
    regrading.release_due()
    assert only(user_id).is_regraded
    assert not only(user_id).is_final
    grade_all_again(0)
    assert (only(user_id).points, only(user_id).is_regraded) == (0, False)


def test_answers_of_one_attempt_are_shown_together():
    user_id = make_learner()
    for n in range(4):
        queue.enqueue(new_submission(user_id=user_id, queue_key=f"key {n}"))
        points = {"loops_2_1": 1, "loops_3_1": 2}
        Submission.objects.latest("pk").content.__class__.objects.update(points=points)
    assert [each.position for each in newest_answers(user_id, PROBLEM)] == [3, 4]
    newest = Submission.objects.latest("pk")
    Submission.objects.exclude(pk=newest.pk).update(created_at=timezone.now() - timedelta(hours=1))
    assert [each.position for each in newest_answers(user_id, PROBLEM)] == [4]


def test_position_is_counted_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("xqueue_bridge.submission_queue.stats.MAX_AHEAD", 3)
    monkeypatch.setattr(answer_status, "MAX_AHEAD", 3)
    monkeypatch.setattr(answer_status, "recent_rate", rate)
    use_a_grader()
    for user_id in range(10):
        queue.enqueue(new_submission(user_id=user_id))
    assert [only(user_id).position for user_id in range(5)] == [1, 2, 3, 4, 4]
    assert only(7).seconds == (8, None)
    assert only(1).seconds == (4, 12)
    assert MAX_AHEAD == 1000


def test_number_of_statements(django_assert_num_queries):
    """One without an answer; rows, position; once for all graders, both pauses and rate."""
    with django_assert_num_queries(1):
        newest_answers(7, PROBLEM)
    use_a_grader()
    queue.enqueue(new_submission())
    queue.enqueue(new_submission(user_id=8))
    with django_assert_num_queries(6):
        newest_answers(7, PROBLEM)
    with django_assert_num_queries(2):
        newest_answers(8, PROBLEM)
    queue.pull("python", None)
    with django_assert_num_queries(1):
        newest_answers(7, PROBLEM)


def test_number_of_statements_of_a_finished_answer(django_assert_num_queries):
    """The row, regrades of it, and replies."""
    user_id, pk = graded("ada")
    with django_assert_num_queries(3):
        newest_answers(user_id, PROBLEM)
    Submission.objects.filter(pk=pk).update(status="failed")
    with django_assert_num_queries(2):
        newest_answers(user_id, PROBLEM)


# -- rates


def span(start: int, end: int) -> tuple[datetime, datetime]:
    zero = datetime(2026, 1, 1, tzinfo=UTC)
    return zero + timedelta(seconds=start), zero + timedelta(seconds=end)


def test_spans_that_touch_do_not_overlap():
    assert rates.at_once([]) == 0
    assert rates.at_once([span(0, 1), span(1, 2)]) == 1
    assert rates.at_once([span(0, 3), span(1, 2), span(2, 4)]) == 2


def test_rate_is_measured_from_the_last_hour():
    now = timezone.now()
    for n in range(8):
        pk = submit(make_learner(f"learner {n}"))
        grade(pk, 1)
        finished = now - timedelta(seconds=30 * n)
        Submission.objects.filter(pk=pk).update(
            leased_at=finished - timedelta(seconds=60), finished_at=finished
        )
    rate = rates.recent_rate("python")
    assert (rate.results, rate.graders, rate.grading_p50) == (8, 2, 60)
    assert rate.seconds_until_graded(0) == (60, 60)
    assert rate.seconds_until_graded(3) == (120, 180)


@pytest.mark.parametrize(
    ("graders", "answers_per_minute", "seconds", "capacity", "spare"),
    [(2, 3, 30, 4, 1), (1, 3, 60, 3, 0), (1, 0, 0, 6000, 6000)],
)
def test_regrades_get_what_answers_leave_of_the_capacity(
    graders, answers_per_minute, seconds, capacity, spare
):
    """Graders can return at least what they have returned."""
    rate = rates.QueueRate(9, graders, answers_per_minute, grading_p50=seconds)
    assert (rate.capacity_per_minute, rate.spare_per_minute) == (capacity, spare)


def test_few_results_or_old_ones_are_no_estimate():
    for n in range(rates.LEAST_RESULTS):
        grade(submit(make_learner(f"learner {n}")), 1)
    Submission.objects.update(leased_at=F("created_at"), finished_at=timezone.now())
    Submission.objects.filter(user_id=Submission.objects.first().user_id).update(
        finished_at=timezone.now() - timedelta(hours=2)
    )
    assert rates.recent_rate("python") == rates.QueueRate()
    assert rates.QueueRate().seconds_until_graded(1) is None
    assert json.dumps(rates.QueueRate().capacity_per_minute) == "0"
