"""Actions of operators on submissions: what changes, what is recorded, and races with graders."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from django.core.management import CommandError
from django.db import connection

from tests.commands import json_of
from tests.grader_replies.factories import make_learner, make_reply
from tests.integration.test_concurrent_graders import in_threads
from tests.regrading.factories import submit
from tests.submission_queue.factories import GOOD_REPLY, make_grader, new_submission
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.operations import actions
from xqueue_bridge.operations import api as operations
from xqueue_bridge.operations.api import OperatorAction, Order
from xqueue_bridge.retirement import retire_learner
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.tasks import sweep

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]


def enqueue(count: int, queue_name: str = "python") -> list[int]:
    for number in range(count):
        submission_queue.enqueue(
            new_submission(queue_name, user_id=number + 1, queue_key=str(number))
        )
    return list(Submission.objects.order_by("pk").values_list("pk", flat=True))


def statuses() -> list[str]:
    return list(Submission.objects.order_by("pk").values_list("status", flat=True))


def run(*arguments: str) -> dict[str, object]:
    [printed] = json_of("xqueue_bridge_queue", *arguments)
    return printed


def test_mistyped_queue_is_moved_and_keeps_its_order() -> None:
    enqueue(3, "pyton")
    make_grader("python")
    before = operations.preview(Order("move", "pyton", to="python"))
    assert (before.number, before.learners, before.graders) == (3, 3, 1)
    action = operations.begin(Order("move", "pyton", to="python", author_id=5))
    assert (action.selected, action.changed, action.author_id) == (3, 3, 5)
    assert action.parameters == {"to": "python"}
    assert action.finished_at is not None
    pulled = [queue.pull("python", None).submission_id for _ in range(3)]
    assert pulled == sorted(pulled)


def test_submission_that_a_grader_holds_is_not_moved_and_its_result_counts() -> None:
    enqueue(2)
    grader = make_grader("python")
    lease = grader.pull()
    action = operations.begin(Order("move", "python", to="java"))
    assert (action.selected, action.changed) == (1, 1)
    assert grader.put(lease.header, GOOD_REPLY)["return_code"] == 0
    assert list(Submission.objects.order_by("pk").values_list("queue_name", flat=True)) == [
        "python",
        "java",
    ]


def test_ended_submission_tells_the_learner_and_gives_the_attempt_back() -> None:
    """The block no longer waits; the learner may submit again."""
    user_id = make_learner()
    pk = submit(user_id)
    StudentModule.objects.update(state=json.dumps(_with_attempts(1)))
    assert operations.begin(Order("end", "python", (pk,))).changed == 1
    assert queue.pull("python", None) is None
    state = json.loads(StudentModule.objects.get().state)
    assert "Staff have ended the grading" in str(state["correct_map"])
    assert state["attempts"] == 0
    assert all(not entry.get("queuestate") for entry in state["correct_map"].values())


def _with_attempts(number: int) -> dict[str, object]:
    return {**json.loads(StudentModule.objects.get().state), "attempts": number}


def test_end_of_a_submission_whose_lease_has_expired_refuses_the_late_result() -> None:
    pk = submit(make_learner())
    grader = make_grader()
    lease = grader.pull()
    Submission.objects.update(available_at=Submission.objects.get().created_at)
    assert operations.begin(Order("end", "python", (pk,))).changed == 1
    assert grader.put(lease.header, GOOD_REPLY)["return_code"] == 1
    assert [reply.source for reply in ReceivedReply.objects.all()] == ["operator"]


def test_purge_of_a_queue_leaves_what_came_after_the_preview() -> None:
    enqueue(3)
    seen = operations.preview(Order("end", "python"))
    enqueue(1)
    action = operations.begin(Order("end", "python"), last_id=seen.last_id)
    assert action.changed == 3
    assert statuses() == ["failed", "failed", "failed", "waiting"]


@pytest.fixture
def _batches_of_five(monkeypatch) -> None:
    monkeypatch.setitem(actions.CHANGES, "end", replace(actions.CHANGES["end"], size=5))


@pytest.mark.usefixtures("_batches_of_five")
def test_long_action_is_continued_by_the_sweeper_and_never_counts_twice() -> None:
    enqueue(12)
    action = operations.begin(Order("end", "python"))
    assert (action.changed, action.finished_at) == (5, None)
    stale = OperatorAction.objects.get()
    operations.continue_actions()
    assert not actions.run_batch(stale), "another process has run this batch"
    sweep()
    action.refresh_from_db()
    assert (action.changed, action.finished_at is not None) == (12, True)
    assert set(statuses()) == {"failed"}
    assert ReceivedReply.objects.count() == 12


def test_batch_that_raises_changes_nothing_and_is_run_again(monkeypatch) -> None:
    enqueue(2)
    broken = {**actions.CHANGES}
    monkeypatch.setattr(actions, "CHANGES", broken)
    change = broken["end"]

    def fail(ids: object, given: object) -> int:
        change.work(ids, given)  # type: ignore[arg-type]
        raise RuntimeError

    broken["end"] = actions.CHANGES["move"].__class__(change.rows, fail)
    with pytest.raises(RuntimeError):
        operations.begin(Order("end", "python"))
    assert set(statuses()) == {"waiting"}
    broken["end"] = change
    operations.continue_actions()
    assert OperatorAction.objects.get().changed == 2


def test_graders_and_an_operator_who_ends_all_at_once_leave_one_outcome_each() -> None:
    """Each submission is either graded, by the grader that pulled it, or ended."""
    if connection.vendor == "sqlite":
        count, graders = 20, 2
    else:
        count, graders = 60, 4
    enqueue(count)
    clients = [make_grader(name=f"grader {number}") for number in range(graders)]
    accepted: list[int] = []

    def work(number: int) -> None:
        if number == graders:
            operations.begin(Order("end", "python"))
            return
        while (lease := clients[number].pull()) is not None:
            if clients[number].put(lease.header, GOOD_REPLY)["return_code"] == 0:
                accepted.append(lease.submission_id)

    in_threads(graders + 1, work)
    while operations.continue_actions():
        pass
    graded = set(Submission.objects.filter(status="answered").values_list("pk", flat=True))
    ended = set(Submission.objects.filter(status="failed").values_list("pk", flat=True))
    assert graded == set(accepted)
    assert len(graded) + len(ended) == count
    assert OperatorAction.objects.get().changed == len(ended)
    sources = ReceivedReply.objects.values_list("submission_id", "source")
    assert sorted(sources) == sorted(
        [(pk, "put_result") for pk in graded] + [(pk, "operator") for pk in ended]
    )


def test_failed_submissions_are_requeued() -> None:
    pk = submit(make_learner())
    operations.begin(Order("end", "python", (pk,)))
    action = operations.begin(Order("requeue", "python"))
    assert (action.selected, action.changed) == (1, 1)
    assert statuses() == ["waiting"]


def test_dead_replies_of_a_queue_are_retried() -> None:
    make_learner()
    [pk] = enqueue(1)
    make_reply(Submission.objects.get(pk=pk), status="dead", next_attempt_at=None)
    action = operations.begin(Order("retry", "python"))
    assert (action.selected, action.changed) == (1, 1)
    assert ReceivedReply.objects.get().status == "pending"
    assert operations.begin(Order("retry", "java")).selected == 0


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (Order("move", "python", to="python"), "to"),
        (Order("move", "python", to=" "), "to"),
        (Order("end", ""), "queue"),
        (Order("end", "", ()), "submissions"),
        (Order("end", "python", tuple(range(501))), "submissions"),
    ],
)
def test_order_that_cannot_be_carried_out_names_the_field(order: Order, field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        operations.begin(order)
    assert caught.value.field == field
    assert not OperatorAction.objects.exists()


def test_submissions_are_not_moved_to_a_queue_that_is_refused(settings) -> None:
    settings.XQUEUE_BRIDGE = {"REJECT_UNKNOWN_QUEUES": True, "QUEUES": {"python": {}}}
    enqueue(1)
    with pytest.raises(InvalidField, match="to"):
        operations.begin(Order("move", "python", to="java"))


def test_statements(django_assert_num_queries) -> None:
    """Preview: rows and newest. Begin: those, graders, record, ids, the batch, the action again.

    The batch: claim, ids, change, count, in a transaction, whose BEGIN and COMMIT are counted.
    """
    enqueue(2)
    with django_assert_num_queries(2):
        operations.preview(Order("end", "python"))
    with django_assert_num_queries(12):
        operations.begin(Order("move", "python", to="java"))
    with django_assert_num_queries(8):
        operations.begin(Order("pause", "java"))


def test_retired_operator_is_removed_from_the_record() -> None:
    user_id = make_learner("operator")
    operations.begin(Order("pause", "python", author_id=user_id))
    retire_learner(user_id)
    assert OperatorAction.objects.get().author_id is None


def test_old_actions_are_deleted() -> None:
    operations.begin(Order("pause", "python"))
    assert operations.delete_old_actions() == 0
    OperatorAction.objects.update(
        finished_at=OperatorAction.objects.get().created_at - actions.KEEP
    )
    assert operations.delete_old_actions() == 1


@pytest.mark.usefixtures("_batches_of_five")
def test_command_moves_ends_and_prints_the_log() -> None:
    enqueue(12, "pyton")
    assert run("move", "pyton", "--to", "python", "--dry-run")["number"] == 12
    assert run("move", "pyton", "--to", "python")["changed"] == 12
    pk = Submission.objects.earliest("pk").pk
    assert run("end", "python", "--submission", str(pk))["changed"] == 1
    ended = run("end", "python")
    assert (ended["changed"], ended["is_finished"]) == (11, True)
    log = json_of("xqueue_bridge_queue", "log", "python")
    assert [each["action"] for each in log] == ["end", "end"]


def test_command_names_the_argument_at_fault() -> None:
    with pytest.raises(CommandError, match="to: it is the same queue"):
        run("move", "python", "--to", "python")


def test_pause_of_a_paused_queue_is_on_record_and_has_changed_nothing() -> None:
    for _ in range(2):
        operations.begin(Order("pause", " python "))
    rows = OperatorAction.objects.order_by("pk").values_list("queue_name", "selected", "changed")
    assert list(rows) == [("python", 1, 1), ("python", 1, 0)]
    assert not OperatorAction.objects.filter(finished_at=None).exists()


@pytest.mark.parametrize("number", [1, actions.MAX_IDS])
def test_action_on_submissions_takes_one_id_to_the_maximum(number: int) -> None:
    enqueue(1)
    pk = Submission.objects.get().pk
    order = Order("end", submission_ids=tuple(range(pk, pk + number)))
    assert operations.preview(order).number == 1


def test_action_on_submissions_of_a_queue_leaves_all_others() -> None:
    chosen, _, other = [*enqueue(2), enqueue(1, "java")[-1]]
    action = operations.begin(Order("end", "python", (chosen, other)))
    assert (action.selected, action.changed) == (1, 1)
    assert action.parameters == {"submissions": [chosen, other]}
    assert statuses() == ["failed", "waiting", "waiting"]


def test_preview_counts_learners_and_names_the_first_courses(monkeypatch) -> None:
    monkeypatch.setattr(actions, "MAX_COURSES", 2)
    ids = enqueue(4)
    Submission.objects.filter(pk__in=ids[:2]).update(user_id=1)
    for number, pk in enumerate(ids[1:]):
        Submission.objects.filter(pk=pk).update(course_key=f"course-v1:DemoX+A{number}+2026")
    seen = operations.preview(Order("end", "python"))
    assert (seen.number, seen.learners, seen.graders, seen.last_id) == (4, 3, 0, ids[-1])
    assert seen.courses == ("course-v1:DemoX+A0+2026", "course-v1:DemoX+A1+2026")
    assert operations.preview(Order("end", "java")).last_id == 0


def test_action_ends_at_the_newest_row_of_its_begin_whatever_the_preview_had() -> None:
    [pk] = enqueue(1)
    action = operations.begin(Order("end", "python"), last_id=pk + 100)
    assert action.last_id == pk


def test_sweeper_continues_a_limited_number_of_actions_oldest_first(monkeypatch) -> None:
    monkeypatch.setitem(actions.CHANGES, "end", replace(actions.CHANGES["end"], size=2))
    enqueue(8)
    for _ in range(3):
        operations.begin(Order("end", "python"))
    assert operations.continue_actions(limit=1) == 1
    changed = OperatorAction.objects.order_by("pk").values_list("changed", flat=True)
    assert list(changed) == [4, 2, 2]


def test_limited_number_of_old_actions_is_deleted_and_none_that_is_not_finished(
    monkeypatch,
) -> None:
    monkeypatch.setitem(actions.CHANGES, "end", replace(actions.CHANGES["end"], size=2))
    enqueue(3)
    operations.begin(Order("end", "python"))
    for _ in range(2):
        operations.begin(Order("pause", "python"))
    old = OperatorAction.objects.earliest("pk").created_at - actions.KEEP
    OperatorAction.objects.update(created_at=old)
    OperatorAction.objects.exclude(finished_at=None).update(finished_at=old)
    assert [operations.delete_old_actions(limit=1) for _ in range(3)] == [1, 1, 0]
    assert OperatorAction.objects.get().kind == "end"
