"""UPDATE with SQL that is composed once."""

from __future__ import annotations

import pytest

from tests.submission_queue.factories import make_grader, new_submission
from xqueue_bridge.db.update import update
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.queue import enqueue
from xqueue_bridge.submission_queue.states import Status, finished

pytestmark = pytest.mark.django_db


def test_it_changes_the_rows_that_the_orm_would_change(django_assert_num_queries):
    """Names are compared without the white space around them, and case-sensitively."""
    for queue_name in ("python", "c", "C"):
        enqueue(new_submission(queue_name))
    with django_assert_num_queries(1):
        changed = update(
            Submission,
            finished(Status.ANSWERED),
            where={"user_id": 7},
            among={"queue_name": [" python ", "C"], "status": {Status.WAITING, Status.LEASED}},
        )
    assert changed == 2
    answered = Submission.objects.filter(available_at=None, due_at=None, status="answered")
    assert set(answered.values_list("queue_name", flat=True)) == {"python", "C"}
    assert Submission.objects.get(queue_name="c").status == Status.WAITING


def test_without_values_to_compare_with_nothing_is_changed(django_assert_num_queries):
    """As the ORM does with an empty list."""
    enqueue(new_submission())
    with django_assert_num_queries(0):
        assert not update(Submission, {"priority": 1}, where={}, among={"queue_name": ()})


def test_same_values_count_as_changed():
    """MySQL and MariaDB would count only rows whose values differ."""
    enqueue(new_submission())
    pk = Submission.objects.get().pk
    for _ in range(2):
        assert update(Submission, {"queue_name": "c"}, where={"id": pk}, among={}) == 1


def test_grader_of_another_queue_cannot_return_a_result():
    grader, other = make_grader(), make_grader("c", name="other")
    enqueue(new_submission())
    pulled = grader.pull()
    assert other.put(pulled.header)["content"] == "Submission does not exist"
    assert grader.put(pulled.header)["return_code"] == 0
