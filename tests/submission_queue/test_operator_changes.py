"""What operators change in submissions, and what they leave to the graders that hold them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db.models import F
from django.utils import timezone

from tests.grader_replies.factories import received_signals
from tests.submission_queue.factories import (
    GOOD_REPLY,
    GraderClient,
    make_grader,
    new_submission,
)
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.signals import submission_failed
from xqueue_bridge.submission_queue import operator_changes, queue
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db(transaction=True)


def enqueue(*keys: str) -> list[int]:
    for key in keys:
        queue.enqueue(new_submission(queue_key=key))
    return list(Submission.objects.order_by("pk").values_list("pk", flat=True))


def end_leases() -> None:
    Submission.objects.filter(status=Status.LEASED).update(available_at=F("created_at"))


def move(ids: list[int], queue_name: str) -> int:
    return in_transaction(partial(operator_changes.move_submissions, ids, queue_name))


def release(grader: Grader) -> int:
    return in_transaction(partial(operator_changes.release_leases, grader))


def refusal(grader: GraderClient, header: str) -> str:
    """Return the code with which a result is refused."""
    form = {"xqueue_header": header, "xqueue_body": GOOD_REPLY}
    return grader.http.post("/xqueue/put_result/", form)["X-XQueue-Code"]


def test_moved_submission_begins_anew_in_the_other_queue():
    """Deliveries and age count anew, and the result of its former lease is refused."""
    enqueue("one")
    grader = make_grader("python", "java")
    lease = grader.pull()
    end_leases()
    Submission.objects.update(retry_until=F("created_at"))
    assert move([lease.submission_id], "java") == 1
    row = Submission.objects.get()
    assert (row.queue_name, row.status, row.deliveries) == ("java", Status.WAITING, 0)
    assert row.grader is None
    assert row.retry_until > timezone.now() + timedelta(hours=23)
    assert refusal(grader, lease.header) == "lease_ended"
    assert grader.pull("java")


def test_submission_whose_result_was_refused_is_held_by_no_grader():
    """It waits for the time of its next delivery, and may be moved until then."""
    ids = enqueue("one")
    grader = make_grader()
    grader.put(grader.pull().header, "{}")
    assert Submission.objects.get().available_at > timezone.now()
    assert move(ids, "java") == 1


def test_replaced_submission_is_neither_moved_nor_ended():
    """It is superseded when its lease ends; its learner waits for another answer."""
    ids = enqueue("one")
    queue.pull("python", None)
    end_leases()
    Submission.objects.update(is_replaced=True)
    assert move(ids, "java") == 0
    assert operator_changes.end_submissions(ids) == 0


def test_only_the_chosen_submissions_are_moved():
    first, _ = enqueue("one", "two")
    assert move([first], "java") == 1
    assert list(Submission.objects.order_by("pk").values_list("queue_name", flat=True)) == [
        "java",
        "python",
    ]


def test_only_leases_that_the_grader_holds_are_ended():
    """What it has returned waits for the time of its next delivery."""
    enqueue("refused", "held", "of another grader")
    grader = make_grader()
    refused, held = grader.pull(), grader.pull()
    grader.put(refused.header, "{}")
    other = make_grader(name="other").pull()
    rows = {row.pk: row for row in Submission.objects.all()}
    assert release(Grader.objects.get(name="watcher")) == 1
    for pk in (refused.submission_id, other.submission_id):
        row = Submission.objects.get(pk=pk)
        assert row.available_at == rows[pk].available_at
        assert row.pullkey_digest == rows[pk].pullkey_digest
    assert refusal(grader, held.header) == "lease_ended"
    assert queue.pull("python", None).submission_id == held.submission_id


def test_lease_that_has_ended_is_not_ended_again():
    enqueue("one")
    lease = make_grader().pull()
    end_leases()
    assert release(Grader.objects.get()) == 0
    assert Submission.objects.get(pk=lease.submission_id).pullkey_digest


def test_failed_regrade_is_no_submission_to_requeue():
    """The learner has a grade, and the course team starts another regrade."""
    enqueue("answer", "regrade", "waiting")
    Submission.objects.exclude(queue_key="waiting").update(status=Status.FAILED)
    Submission.objects.filter(queue_key="regrade").update(regrade_of=1)
    [found] = operator_changes.failed_submissions()
    assert found.queue_key == "answer"


def test_ended_submission_is_announced_as_failed_with_the_reason():
    ids = enqueue("one")
    with received_signals(submission_failed) as received:
        assert operator_changes.end_submissions([*ids, 4711]) == 1
    assert received == [{"submission_id": ids[0], "reason": "ended by an operator"}]


def test_queue_is_used_as_long_as_a_submission_names_it():
    enqueue("one")
    assert operator_changes.is_used("python")
    assert not operator_changes.is_used("java")
