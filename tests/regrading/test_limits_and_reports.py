"""Pace and limits of a regrade, what it leaves out, and what its items and lists say."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
import time_machine
from django.db.models import F
from django.utils import timezone

from tests.grader_replies.factories import make_learner
from tests.regrading.factories import (
    grade,
    grade_all_again,
    graded,
    outcomes,
    points_of,
    start,
    submit,
)
from tests.submission_queue.factories import COURSE, OTHER_PROBLEM, PROBLEM
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.regrading import backend, items, jobs, release, selection
from xqueue_bridge.regrading.models import Regrade, RegradeItem
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _only_state(settings):
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}


def graded_in(queue_name: str, name: str) -> int:
    """Create a learner with a graded answer in a queue; return the user id."""
    user_id = make_learner(name)
    grade(submit(user_id, queue_name=queue_name), 1)
    return user_id


def item_of(user_id: int) -> RegradeItem:
    return RegradeItem.objects.get(user_id=user_id)


class TestPace:
    def test_each_interval_offers_one_and_unused_ones_are_kept(self):
        """60 per minute: the first at once, then one each second, also if a sweep is late."""
        for n in range(6):
            graded(f"learner {n}")
        begin = timezone.now()
        with time_machine.travel(begin, tick=False) as now:
            start(per_minute=60)
            released = []
            for second in (0, 0.5, 1, 3.5, 3.9, 4):
                now.move_to(begin + timedelta(seconds=second))
                released.append(regrading.release_due())
        assert released == [1, 0, 1, 2, 0, 1]

    def test_two_sweepers_do_not_use_the_same_time(self):
        graded("ada")
        read_by_both = start(per_minute=1)
        assert release._take_pace(read_by_both) == 1
        assert release._take_pace(read_by_both) == 0

    def test_pause_gives_no_pace(self):
        for n in range(3):
            graded(f"learner {n}")
        regrade = start()
        regrading.pause(regrade.pk)
        with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
            regrading.resume(regrade.pk)
            assert regrading.release_due() == 1

    @pytest.mark.parametrize("per_minute", [1, jobs.MAX_PER_MINUTE])
    def test_smallest_and_largest_pace_are_accepted(self, per_minute):
        graded("ada")
        assert start(per_minute=per_minute).per_minute == per_minute

    def test_larger_pace_is_refused(self):
        graded("ada")
        with pytest.raises(InvalidField, match="per_minute"):
            start(per_minute=jobs.MAX_PER_MINUTE + 1)


class TestOpenRegrades:
    def test_sweep_offers_only_what_is_missing_to_the_limit(self, monkeypatch):
        monkeypatch.setattr(release.submission_queue, "MAX_OPEN", 3)
        for n in range(5):
            graded(f"learner {n}")
        with time_machine.travel(timezone.now(), tick=False):
            start()
            assert regrading.release_due() == 1
            Regrade.objects.update(released_until=F("created_at") - timedelta(minutes=1))
            assert regrading.release_due() == 2

    def test_full_queue_does_not_hold_back_another_one(self, monkeypatch):
        monkeypatch.setattr(release.submission_queue, "MAX_OPEN", 1)
        for n in range(3):
            graded(f"learner {n}")
        bob = graded_in("java", "bob")
        start()
        for _ in range(3):
            Regrade.objects.update(released_until=F("created_at") - timedelta(minutes=1))
            regrading.release_due()
        assert item_of(bob).status == "open"
        assert RegradeItem.objects.filter(status="open").count() == 2

    def test_regrade_is_not_finished_while_an_item_is_open(self):
        graded("ada")
        regrade = start()
        regrading.release_due()
        assert regrading.end_finished() == 0
        regrade.refresh_from_db()
        assert (regrade.status, regrade.finished_at) == ("running", None)


class TestReasons:
    @pytest.mark.parametrize(
        ("status", "outcome", "reason"),
        [
            (Status.ANSWERED, "failed", "its reply could not be applied"),
            (Status.FAILED, "failed", "its reply could not be applied"),
            (Status.SUPERSEDED, "skipped", items.NEWER_ANSWER),
            (Status.RETIRED, "skipped", items.NEWER_ANSWER),
        ],
    )
    def test_submission_that_no_reply_will_finish(self, status, outcome, reason):
        user_id, _ = graded("ada", 1)
        start()
        regrading.release_due()
        Submission.objects.exclude(regrade_of=None).update(
            status=status, available_at=None, due_at=None
        )
        assert regrading.end_finished() == 1
        item = item_of(user_id)
        assert (item.status, item.reason) == (outcome, reason)
        assert item.points_after == item.points_before == 1

    def test_submission_that_was_deleted(self):
        user_id, _ = graded("ada")
        start()
        regrading.release_due()
        Submission.objects.exclude(regrade_of=None).delete()
        assert regrading.end_finished() == 1
        assert item_of(user_id).status == "skipped"

    def test_reply_that_is_not_higher(self):
        user_id, _ = graded("ada", 1)
        start(only_if_higher=True)
        grade_all_again(1)
        assert (item_of(user_id).status, item_of(user_id).reason) == ("kept", backend.NOT_HIGHER)

    def test_reply_after_a_newer_answer(self):
        user_id, _ = graded("ada", 1)
        start()
        regrading.release_due()
        held = queue.pull("python", None)
        grade(submit(user_id, "newer"), 0)
        grade(held.submission_id, 1)
        assert item_of(user_id).reason == items.NEWER_ANSWER

    def test_reply_backend_that_cannot_replace_a_grade(self, settings):
        """It was changed after the regrade had begun."""
        user_id, _ = graded("ada", 1)
        start()
        regrading.release_due()
        held = queue.pull("python", None)
        settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "callback"}
        grade(held.submission_id, 0)
        reply = ReceivedReply.objects.latest("pk")
        assert (reply.status, reply.last_error) == (
            "pending",
            "REPLY_BACKEND cannot replace a grade.",
        )
        assert item_of(user_id).status == "open"

    def test_item_that_is_cancelled_while_its_reply_is_applied(self, monkeypatch):
        user_id, _ = graded("ada", 1)
        start()
        regrading.release_due()
        held = queue.pull("python", None)

        def cancel(*args) -> bool:
            RegradeItem.objects.update(status="cancelled")
            return False

        monkeypatch.setattr(submission_queue, "has_newer_answer", cancel)
        grade(held.submission_id, 0)
        assert points_of(user_id) == 1
        assert ReceivedReply.objects.latest("pk").last_error == backend.NOT_OPEN

    def test_newer_answer_before_the_release(self):
        user_id, _ = graded("ada", 1)
        start()
        grade(submit(user_id, "newer"), 0)
        assert regrading.release_due() == 0
        item = item_of(user_id)
        assert (item.status, item.reason) == ("skipped", items.NEWER_ANSWER)

    def test_submission_without_its_content(self):
        user_id, pk = graded("ada", 1)
        start()
        Submission.objects.filter(pk=pk).update(status=Status.RETIRED)
        assert regrading.release_due() == 0
        assert (item_of(user_id).status, item_of(user_id).reason) == ("skipped", items.GONE)

    def test_state_without_the_answer_cannot_wait_for_it(self):
        user_id, _ = graded("ada", 1)
        start(keep_feedback=False)
        student_module.save_fields(user_id, COURSE, PROBLEM, {"correct_map": {}})
        assert regrading.release_due() == 0
        assert (item_of(user_id).status, item_of(user_id).reason) == ("skipped", items.NO_ANSWER)
        assert queue.pull("python", None) is None

    def test_item_is_released_once(self):
        user_id, _ = graded("ada")
        start()
        read_by_both = RegradeItem.objects.select_related("regrade").get()
        assert items.release(read_by_both)
        assert not items.release(read_by_both)
        assert item_of(user_id).status == "open"


class TestSelection:
    def test_preview_counts_what_is_left_out(self):
        ada, _ = graded("ada", 1)
        grade(submit(ada), 0)
        Submission.objects.filter(pk=submit(make_learner("bob"))).update(
            status=Status.ANSWERED, available_at=None, due_at=None
        )
        eve, _ = graded("eve", usage_key=OTHER_PROBLEM)
        start(usage_key=OTHER_PROBLEM)
        found = regrading.preview(regrading.Selection(COURSE), regrading.RegradeOptions()).found
        assert [each.user_id for each in found.candidates] == [ada]
        assert (found.replaced, found.without_grade, found.in_other_regrade) == (1, 1, 1)
        grade_all_again(1)
        assert set(outcomes(start())) == {ada, eve}, "the other regrade is finished"

    def test_submission_of_the_time_since_is_included(self):
        user_id, pk = graded("ada")
        created_at = Submission.objects.get(pk=pk).created_at
        with pytest.raises(InvalidField, match="scope"):
            start(since=created_at + timedelta(microseconds=1))
        assert set(outcomes(start(since=created_at))) == {user_id}

    def test_regrade_says_what_was_selected(self):
        user_id, pk = graded("ada")
        graded("bob")
        one = start(submission_id=pk)
        assert (one.scope, set(outcomes(one))) == ("submission", {user_id})
        regrading.cancel(one.pk)
        problem = start(usage_key=PROBLEM)
        assert (problem.scope, problem.usage_key) == ("problem", PROBLEM)
        regrading.cancel(problem.pk)
        of_queue = start(queue_name="python")
        assert (of_queue.scope, of_queue.queue_name) == ("queue", "python")

    def test_as_many_submissions_as_the_maximum_are_accepted(self, monkeypatch):
        graded("ada")
        monkeypatch.setattr(selection, "MAX_SUBMISSIONS", 1)
        assert len(outcomes(start())) == 1

    @pytest.mark.parametrize(
        ("per_minute", "rates", "minutes"),
        [
            (60, {"python": (4, 8)}, (0.25, 0.5)),
            (1, {"python": (4, 8)}, (2, 2)),
            (60, {"python": (4, 8), "java": (1, 2)}, (0.5, 1)),
            (60, {"python": (4, 8), "java": (0, 2)}, (0.5, None)),
            (60, {"java": (4, 8), "python": (0, 0)}, (0.125, None)),
        ],
    )
    def test_slowest_queue_or_the_pace_says_how_long_it_takes(
        self, monkeypatch, per_minute, rates, minutes
    ):
        """Two submissions of python, and one of java if it has a rate: (spare, capacity)."""
        names = ["python", "python", "java"][: 3 if "java" in rates else 2]
        for number, name in enumerate(names):
            graded_in(name, f"learner {number}")
        measured = {
            name: SimpleNamespace(spare_per_minute=spare, capacity_per_minute=capacity)
            for name, (spare, capacity) in rates.items()
        }
        monkeypatch.setattr(submission_queue, "recent_rate", measured.__getitem__)
        options = regrading.RegradeOptions(per_minute=per_minute)
        assert regrading.preview(regrading.Selection(COURSE), options).minutes == minutes


class TestLists:
    def test_newest_regrades_of_the_course_are_first(self):
        graded("ada")
        started = []
        for _ in range(4):
            started.append(start().pk)
            regrading.cancel(started[-1])
        Regrade.objects.filter(pk=started[0]).update(course_key="course-v1:DemoX+OTHER+2026")
        listed = [each.pk for each in jobs.regrades_of(COURSE)]
        assert listed == [started[3], started[2], started[1]]
        assert [each.pk for each in jobs.regrades_of(COURSE, 1)] == [started[3]]
        assert [each.pk for each in jobs.regrades_of(COURSE, before=started[2])] == [started[1]]

    def test_progress_counts_the_items_that_are_finished(self):
        for n in range(4):
            graded(f"learner {n}")
        regrade = start()
        pks = list(regrade.items.order_by("pk").values_list("pk", flat=True))
        for pk, status in zip(pks, ("open", "up", "skipped"), strict=False):
            RegradeItem.objects.filter(pk=pk).update(status=status)
        found = jobs.progress([regrade.pk, regrade.pk + 1])
        counted = found[regrade.pk]
        assert counted.counts == {"planned": 1, "open": 1, "up": 1, "skipped": 1}
        assert (counted.total, counted.done, counted.share) == (4, 2, 0.5)
        assert found[regrade.pk + 1].share == 1.0, "nothing is left to do"
