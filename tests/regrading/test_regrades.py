"""A regrade from its start to its report: what learners keep, get, and lose."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from tests.grader_replies.factories import make_learner, make_reply
from tests.learner_state.test_score_ledger import LOCK
from tests.regrading.factories import (
    grade,
    grade_all_again,
    graded,
    outcomes,
    points_of,
    result,
    start,
    state_of,
    submit,
)
from tests.submission_queue.factories import COURSE, OTHER_PROBLEM, PROBLEM, make_grader
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.regrading import jobs, release, selection
from xqueue_bridge.regrading.models import Regrade, RegradeItem
from xqueue_bridge.submission_queue import queue, regrades
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]


def attempts_of(user_id: int) -> int:
    return student_module.read_state(user_id, PROBLEM, COURSE)["attempts"]


def test_grades_go_up_down_or_stay_and_the_report_says_so():
    learners = {name: graded(name, score)[0] for name, score in (("up", 0), ("down", 1))}
    attempts = [attempts_of(each) for each in learners.values()]
    regrade = start()
    Regrade.objects.update(released_until=F("created_at") - timedelta(seconds=1))
    assert regrading.release_due() == 2
    for _ in range(2):
        pulled = Submission.objects.get(pk=queue.pull("python", None).submission_id)
        grade(pulled.pk, 1 if pulled.user_id == learners["up"] else 0, "new")
    regrading.end_finished()
    assert outcomes(regrade) == {learners["up"]: "up", learners["down"]: "down"}
    assert (points_of(learners["up"]), points_of(learners["down"])) == (1, 0)
    assert state_of(learners["up"])["msg"] == "<p>new</p>"
    assert [attempts_of(each) for each in learners.values()] == attempts
    regrade.refresh_from_db()
    assert regrade.status == "finished"
    item = RegradeItem.objects.get(user_id=learners["up"])
    assert (item.points_before, item.points_after) == (0, 1)


def test_feedback_is_kept_until_the_new_one_is_there():
    user_id, _ = graded("ada")
    start()
    regrading.release_due()
    assert Submission.objects.filter(regrade_of__isnull=False).count() == 1
    assert state_of(user_id)["msg"] == "<p>old</p>"
    assert state_of(user_id)["queuestate"] is None


def test_feedback_that_is_not_kept_waits_for_the_reply_with_the_old_score():
    user_id, _ = graded("ada")
    start(keep_feedback=False)
    regrading.release_due()
    entry = state_of(user_id)
    assert entry["queuestate"]["key"] == Submission.objects.latest("pk").queue_key
    assert entry["msg"] == ""
    assert points_of(user_id) == 1
    assert grade_all_again(0) == 1
    assert state_of(user_id)["queuestate"] is None
    assert points_of(user_id) == 0


@pytest.mark.parametrize("keep_feedback", [True, False])
def test_only_higher_points_count_if_chosen(keep_feedback):
    user_id, _ = graded("ada", 1)
    regrade = start(only_if_higher=True, keep_feedback=keep_feedback)
    grade_all_again(0)
    assert outcomes(regrade) == {user_id: "kept"}
    assert points_of(user_id) == 1
    assert state_of(user_id)["msg"] == "<p>old</p>"
    assert state_of(user_id)["queuestate"] is None
    assert ReceivedReply.objects.latest("pk").status == "stale"


@pytest.mark.parametrize("keep_feedback", [True, False])
def test_newer_answer_wins_over_a_regrade_that_graders_hold(keep_feedback):
    """The learner answers while a grader grades the older answer again."""
    user_id, _ = graded("ada", 1)
    regrade = start(keep_feedback=keep_feedback)
    regrading.release_due()
    held = queue.pull("python", None)
    newer = submit(user_id, "newer")
    grade(newer, 0, "newer")
    grade(held.submission_id, 1, "regrade")
    regrading.end_finished()
    assert points_of(user_id) == 0
    assert state_of(user_id)["msg"] == "<p>newer</p>"
    assert outcomes(regrade) == {user_id: "skipped"}


def test_newer_answer_that_still_waits_is_not_touched_by_a_regrade():
    user_id, _ = graded("ada", 1)
    regrade = start()
    regrading.release_due()
    held = queue.pull("python", None)
    newer = submit(user_id, "newer")
    grade(held.submission_id, 0, "regrade")
    assert state_of(user_id)["queuestate"]["key"] == "newer"
    assert outcomes(regrade) == {user_id: "skipped"}
    grade(newer, 1, "newer")
    assert state_of(user_id)["msg"] == "<p>newer</p>"


def test_newer_answer_at_another_problem_does_not_end_a_regrade():
    user_id, _ = graded("ada", 1)
    regrade = start()
    grade(submit(user_id, usage_key=OTHER_PROBLEM), 1)
    grade_all_again(0)
    assert outcomes(regrade) == {user_id: "down"}


def test_newer_answer_supersedes_a_waiting_regrade():
    user_id, _ = graded("ada", 1)
    regrade = start()
    regrading.release_due()
    submit(user_id, "newer")
    open_regrade = Submission.objects.get(regrade_of__isnull=False)
    assert open_regrade.status == Status.SUPERSEDED
    regrading.end_finished()
    assert outcomes(regrade) == {user_id: "skipped"}


def test_only_the_newest_of_a_learners_submissions_is_selected():
    user_id, first = graded("ada", 0)
    second = submit(user_id)
    grade(second, 1)
    regrade = start()
    assert list(regrade.items.values_list("original_id", flat=True)) == [second]
    with pytest.raises(InvalidField):
        start(submission_id=first)


@pytest.mark.parametrize("keep_feedback", [True, False])
def test_regrade_of_a_regraded_answer_is_compared_with_the_former_regrade(keep_feedback):
    user_id, _ = graded("ada", 1)
    start()
    grade_all_again(0)
    again = start(only_if_higher=True, keep_feedback=keep_feedback)
    assert again.items.get().points_before == 0
    grade_all_again(0.5)
    assert outcomes(again) == {user_id: "up"}
    assert points_of(user_id) == 0.5


def test_answers_are_pulled_before_regrades_that_came_earlier():
    for n in range(5):
        graded(f"learner {n}")
    start()
    Regrade.objects.update(released_until=F("created_at") - timedelta(minutes=1))
    assert regrading.release_due() == 5
    live = submit(make_learner("now"))
    assert queue.pull("python", None).submission_id == live
    assert Submission.objects.get(pk=queue.pull("python", None).submission_id).regrade_of


def test_number_of_open_regrades_is_limited(monkeypatch):
    monkeypatch.setattr(regrades, "MAX_OPEN", 3)
    monkeypatch.setattr(release.submission_queue, "MAX_OPEN", 3)
    for n in range(6):
        graded(f"learner {n}")
    start()
    for _ in range(3):
        Regrade.objects.update(released_until=F("created_at") - timedelta(minutes=1))
        regrading.release_due()
    assert Submission.objects.filter(regrade_of__isnull=False).count() == 3


def test_pace_limits_what_a_sweep_releases():
    for n in range(5):
        graded(f"learner {n}")
    start(per_minute=6)
    assert regrading.release_due() == 1
    assert regrading.release_due() == 0
    Regrade.objects.update(released_until=timezone.now() - timedelta(hours=1))
    assert regrading.release_due() == 2, "the pace of the hour without a sweeper is lost"


def test_failed_regrade_leaves_the_grade(settings):
    user_id, _ = graded("ada", 1)
    regrade = start(keep_feedback=False)
    regrading.release_due()
    pulled = queue.pull("python", None)
    Submission.objects.filter(pk=pulled.submission_id).update(
        deliveries=99, available_at=timezone.now() - timedelta(hours=1)
    )
    assert queue.pull("python", None) is None
    assert Submission.objects.get(pk=pulled.submission_id).status == Status.FAILED
    assert outcomes(regrade) == {user_id: "failed"}
    assert points_of(user_id) == 1
    assert state_of(user_id)["msg"] == "<p>old</p>"


def test_failed_submission_is_graded_again():
    user_id = make_learner("ada")
    pk = submit(user_id)
    Submission.objects.filter(pk=pk).update(
        status=Status.LEASED, deliveries=99, available_at=timezone.now() - timedelta(hours=1)
    )
    assert queue.pull("python", None) is None
    graded("bob")
    assert attempts_of(user_id) == 0
    regrade = start(only_failed=True)
    assert regrade.scope == "failed"
    grade_all_again(1)
    assert outcomes(regrade) == {user_id: "up"}
    assert state_of(user_id)["correctness"] == "correct"
    assert attempts_of(user_id) == 1


def test_pause_stops_releases_and_resume_continues():
    graded("ada")
    regrade = start()
    assert regrading.pause(regrade.pk)
    assert regrading.release_due() == 0
    assert not regrading.pause(regrade.pk)
    assert regrading.resume(regrade.pk)
    assert regrading.release_due() == 1


def test_change_of_a_regrade_leaves_another_one_as_it_is():
    graded("ada")
    bob, _ = graded("bob", usage_key=OTHER_PROBLEM)
    one, other = start(usage_key=PROBLEM), start(usage_key=OTHER_PROBLEM)
    regrading.pause(one.pk)
    other.refresh_from_db()
    assert other.status == "running"
    regrading.pause(other.pk)
    regrading.resume(one.pk)
    regrading.cancel(one.pk)
    regrading.end_finished()
    one.refresh_from_db()
    other.refresh_from_db()
    assert one.finished_at
    assert (other.status, other.finished_at, outcomes(other)) == ("paused", None, {bob: "planned"})


@pytest.mark.parametrize("keep_feedback", [True, False])
def test_cancel_leaves_each_learner_with_the_grade_of_before(keep_feedback, monkeypatch):
    monkeypatch.setattr(release.submission_queue, "MAX_OPEN", 3)
    users = [graded(f"learner {n}", 1)[0] for n in range(4)]
    regrade = start(keep_feedback=keep_feedback)
    Regrade.objects.update(released_until=F("created_at") - timedelta(minutes=1))
    assert regrading.release_due() == 3
    held = queue.pull("python", None)
    assert regrading.cancel(regrade.pk)
    regrading.end_finished()
    grade(held.submission_id, 0, "late")
    assert set(outcomes(regrade).values()) == {"cancelled"}
    for user_id in users:
        assert points_of(user_id) == 1
        assert state_of(user_id)["msg"] == "<p>old</p>"
        assert state_of(user_id)["queuestate"] is None
    assert queue.pull("python", None) is None
    regrade.refresh_from_db()
    assert regrade.status == "cancelled"
    assert regrade.finished_at


def test_result_of_a_cancelled_regrade_over_http_changes_nothing(transactional_db):
    user_id, _ = graded("ada", 1)
    regrade = start()
    regrading.release_due()
    client = make_grader()
    pulled = client.pull()
    regrading.cancel(regrade.pk)
    regrading.end_finished()
    assert client.put(pulled.header)["return_code"] == 0
    assert state_of(user_id)["msg"] == "<p>old</p>"
    assert outcomes(regrade) == {user_id: "cancelled"}


def test_deleted_state_is_not_created_again():
    user_id, _ = graded("ada", 1)
    regrade = start()
    regrading.release_due()
    student_module.save_fields(user_id, COURSE, PROBLEM, {"correct_map": {}})
    grade_all_again(1)
    assert outcomes(regrade) == {user_id: "skipped"}


def test_other_parts_of_the_problem_keep_their_points():
    user_id, _ = graded("ada", 1)
    state = student_module.read_state(user_id, PROBLEM, COURSE)
    state["correct_map"]["loops_3_1"] = {**state["correct_map"]["loops_2_1"], "msg": "other"}
    state["score"] = {"raw_earned": 2, "raw_possible": 2}
    student_module.save_fields(user_id, COURSE, PROBLEM, state)
    start()
    grade_all_again(0)
    saved = student_module.read_state(user_id, PROBLEM, COURSE)
    assert saved["correct_map"]["loops_3_1"]["npoints"] == 1
    assert saved["score"]["raw_earned"] == 1


def test_selections_narrow_the_submissions():
    ada, _ = graded("ada")
    bob, _ = graded("bob", usage_key=OTHER_PROBLEM)
    assert set(outcomes(start(usage_key=OTHER_PROBLEM))) == {bob}
    with pytest.raises(InvalidField, match="scope"):
        start(queue_name="another")
    with pytest.raises(InvalidField, match="scope"):
        start(since=timezone.now() + timedelta(hours=1))
    assert set(outcomes(start())) == {ada}, "bob's is in the other regrade"


def test_start_refuses_what_it_cannot_do(settings, monkeypatch):
    graded("ada")
    with pytest.raises(InvalidField, match="per_minute"):
        start(per_minute=0)
    with pytest.raises(InvalidField, match="per_minute"):
        regrading.preview(regrading.Selection(COURSE), regrading.RegradeOptions(per_minute=0))
    monkeypatch.setattr(selection, "MAX_SUBMISSIONS", 0)
    with pytest.raises(InvalidField, match="since"):
        start()
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "callback"}
    with pytest.raises(InvalidField, match="REPLY_BACKEND"):
        start()
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "block", "BLOCK_LOADER": "x.y"}
    with pytest.raises(InvalidField, match="keep_feedback"):
        start(keep_feedback=False)


def test_author_is_on_record():
    graded("ada")
    assert start(author_id=5).author_id == 5
    assert jobs.regrades_of(COURSE)[0].author_id == 5


def test_release_takes_eight_statements(django_assert_num_queries):
    """BEGIN, claim, newer answer, read, INSERT content and submission, UPDATE item, COMMIT."""
    for n in range(3):
        graded(f"learner {n}")
    item = start().items.select_related("regrade").first()
    with django_assert_num_queries(8):
        assert release.items.release(item)


def test_reply_takes_three_statements_more_than_one_to_an_answer(django_assert_num_queries):
    """Read the item, look for a newer answer, UPDATE the item."""
    graded("ada")
    start()
    regrading.release_due()
    pk = queue.pull("python", None).submission_id
    Submission.objects.filter(pk=pk).update(status=Status.ANSWERED, available_at=None, due_at=None)
    reply = make_reply(Submission.objects.get(pk=pk), result(0))
    with django_assert_num_queries(7 + LOCK + 3):
        assert grader_replies.apply_reply(reply.pk) == "applied"


def test_preview_says_how_many_how_long_and_whose_grade_could_fall():
    ada, _ = graded("ada", 1)
    graded("bob", 0)
    chosen = regrading.Selection(COURSE)
    found = regrading.preview(chosen, regrading.RegradeOptions(per_minute=2))
    assert (found.number, found.could_fall) == (2, (ada,))
    assert found.minutes == (1, None), "no grader has worked within the last hour"
    only_higher = regrading.RegradeOptions(per_minute=2, only_if_higher=True)
    assert regrading.preview(chosen, only_higher).could_fall == ()
    assert not RegradeItem.objects.exists()
