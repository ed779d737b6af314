"""The order of a queue, its limits in time, and the limit of pending answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import F
from opaque_keys.edx.keys import CourseKey

from tests.submission_queue.factories import COURSE, OTHER_PROBLEM, PROBLEM, new_submission
from xqueue_bridge.exceptions import TooManyPending
from xqueue_bridge.submission_queue import api, queue, regrades, supersede
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.priorities import MANY, REGRADE_STEPS
from xqueue_bridge.submission_queue.states import Status, finished

pytestmark = pytest.mark.django_db

STEP = timedelta(hours=1)
OTHER_COURSE = CourseKey.from_string("course-v1:DemoX+CS102+2026")


@pytest.fixture(params=["portable", "of the database"], autouse=True)
def form(request, monkeypatch) -> None:
    """Pull with both forms; they are one on SQLite and MariaDB."""
    if request.param == "portable":
        monkeypatch.setattr(queue, "pull_at_once", lambda *args: (None, False))


def send(
    name: str,
    user_id: int = 7,
    course: CourseKey = COURSE,
    queue_name: str = "python",
    usage_key=PROBLEM,
) -> Submission:
    new = new_submission(queue_name, queue_key=name, user_id=user_id, usage_key=usage_key)
    queue.enqueue(replace(new, target=replace(new.target, course_key=course)))
    return Submission.objects.get(queue_key=name)


def pull() -> str | None:
    pulled = queue.pull("python", None)
    return pulled and Submission.objects.get(pk=pulled.submission_id).queue_key


def pull_all() -> list[str]:
    return list(iter(pull, None))


def pass_time(time: timedelta) -> None:
    """Move all submissions that wait into the past."""
    waiting = Submission.objects.filter(status=Status.WAITING)
    waiting.update(due_at=F("due_at") - time, available_at=F("available_at") - time)


def test_course_with_a_higher_priority_is_pulled_first_and_a_lower_one_last():
    api.set_priority("", OTHER_COURSE, 1)
    for number in (1, 2):
        send(f"normal {number}", user_id=number)
    for number in (1, 2):
        send(f"high {number}", 10 + number, OTHER_COURSE)
    api.set_priority("", OTHER_COURSE, -1)
    send("low", 20, OTHER_COURSE)
    send("normal 3", user_id=3)
    assert pull_all() == ["high 1", "high 2", "normal 1", "normal 2", "normal 3", "low"]


@pytest.mark.parametrize(
    ("priorities", "steps"),
    [
        ([], 0),
        ([("python", None, 1)], 1),
        ([("java", None, 1), ("java", COURSE, 1), ("", OTHER_COURSE, 1)], 0),
        ([("python", None, 1), ("", COURSE, 2)], 2),
        ([("python", None, 1), ("", COURSE, 2), ("python", COURSE, -2)], -2),
        ([("python", COURSE, 1), ("python", COURSE, None), ("", COURSE, -1)], -1),
        ([("python", COURSE, 1), ("java", COURSE, None), ("python", OTHER_COURSE, None)], 1),
    ],
)
def test_priority_of_course_and_queue_counts_before_the_courses_and_this_before_the_queues(
    priorities, steps
):
    for queue_name, course, level in priorities:
        api.set_priority(queue_name, course, level)
    row = send("one")
    assert row.available_at - row.due_at == steps * STEP


def test_priority_does_not_hold_for_other_queues_that_differ_in_case():
    api.set_priority("Python", None, 2)
    row = send("one")
    assert row.due_at == row.available_at


def test_answer_of_a_learner_without_pending_ones_comes_before_the_tenth_of_another():
    flood = [f"flood {number}" for number in range(1, 11)]
    for name in flood:
        send(name, user_id=1)
    send("other", user_id=2)
    assert pull_all() == [*flood[:MANY], "other", *flood[MANY:]]


def test_pending_answers_in_other_queues_delay_nothing():
    for number in range(MANY):
        send(f"java {number}", queue_name="java")
    row = send("python")
    assert row.due_at == row.available_at


def regrade() -> Submission:
    original = send("original", user_id=30)
    Submission.objects.filter(pk=original.pk).update(**finished(Status.ANSWERED))
    row = regrades.enqueue_regrade(original.pk)
    assert row
    return row


def test_regrade_comes_after_the_lowest_answer():
    again = regrade()
    for number in range(MANY):
        send(f"flood {number}")
    api.set_priority("", COURSE, -2)
    send("lowest")
    assert pull_all()[-2:] == ["lowest", again.queue_key]


@pytest.mark.parametrize("level", [-2, "regrade"])
def test_permanent_stream_of_first_answers_delays_a_submission_for_a_limited_time(level):
    """Each step of time one answer enters and one is pulled; the queue is never empty."""
    if level == "regrade":
        last = regrade().queue_key
        steps = REGRADE_STEPS
    else:
        api.set_priority("", OTHER_COURSE, level)
        last = send("lowest", 40, OTHER_COURSE).queue_key
        steps = -level
    api.set_priority("", COURSE, 2)
    pulled = []
    for number in range(4 * steps + 20):
        pass_time(STEP / 2)
        send(f"stream {number}", user_id=100 + number)
        pulled.append(pull())
        if pulled[-1] == last:
            break
    # The stream's answers are due two hours before they enter.
    assert pulled == [*(f"stream {number}" for number in range(2 * (steps + 2) - 1)), last]


def test_order_of_arrival_if_a_step_takes_no_time(settings):
    settings.XQUEUE_BRIDGE = {"PRIORITY_SECONDS": 0}
    api.set_priority("", COURSE, -2)
    names = [send(f"low {number}").queue_key for number in range(MANY + 2)]
    api.set_priority("", COURSE, 2)
    names.append(send("high", user_id=8).queue_key)
    assert pull_all() == names


def test_positions_are_the_order_of_pulls():
    again = regrade().queue_key
    for number in range(MANY + 1):
        send(f"flood {number}", user_id=1)
    send("one", user_id=2)
    api.set_priority("", OTHER_COURSE, 1)
    send("high", 3, OTHER_COURSE)
    found = {
        each.queue_key: each.position
        for user_id in (1, 2, 3)
        for each in api.queue_positions(user_id, PROBLEM)
    }
    names = sorted(found, key=lambda name: found[name] or 0)
    assert sorted(found.values()) == list(range(1, MANY + 4))
    assert pull_all() == [*names, again]


def test_submission_under_lease_is_not_ahead_of_one_with_a_low_priority():
    """Its lease ends before the other is due."""
    send("held", user_id=1)
    pull()
    api.set_priority("", COURSE, -2)
    send("low", user_id=2)
    [position] = api.queue_positions(2, PROBLEM)
    assert position.position == 1
    assert pull() == "low"


class TestMaximumOfPendingAnswers:
    @pytest.fixture(autouse=True)
    def _limit(self, settings):
        settings.XQUEUE_BRIDGE = {"MAX_PENDING_ANSWERS": 2}

    @pytest.fixture
    def pending(self) -> list[Submission]:
        return [send("first"), send("second")]

    @pytest.mark.parametrize("status", [Status.WAITING, Status.LEASED])
    def test_nothing_is_stored_above_it(self, pending, status):
        if status == Status.LEASED:
            pull_all()
        with pytest.raises(TooManyPending) as refused:
            send("third")
        assert refused.value.number == 2
        assert SubmissionContent.objects.count() == Submission.objects.count() == 2

    def test_other_learners_and_problems_are_not_limited(self, pending):
        """The usage key of an older course names no run: it is the same in each of them."""
        send("other learner", user_id=8)
        send("other run", course=OTHER_COURSE)
        send("other problem", usage_key=OTHER_PROBLEM)

    @pytest.mark.parametrize(
        "end",
        [
            lambda row: Submission.objects.filter(pk=row.pk).update(**finished(Status.ANSWERED)),
            lambda row: supersede.supersede_replaced(7, PROBLEM, {"second"}),
            lambda row: Submission.objects.filter(pk=row.pk).update(is_replaced=True),
            lambda row: Submission.objects.filter(pk=row.pk).update(regrade_of=1),
        ],
        ids=["answered", "superseded", "replaced", "regrade"],
    )
    def test_finished_and_replaced_answers_and_regrades_do_not_count(
        self, pending, end: Callable[[Submission], object]
    ):
        end(pending[0])
        send("third")

    def test_imported_submissions_are_not_limited(self, pending):
        queue.enqueue(new_submission(queue_key="imported"), is_limited=False)
        assert Submission.objects.count() == 3

    def test_there_is_none_if_it_is_0(self, pending, settings):
        settings.XQUEUE_BRIDGE = {"MAX_PENDING_ANSWERS": 0}
        send("third")
