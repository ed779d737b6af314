"""UPDATE and INSERT with SQL that is composed once."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from tests.submission_queue.factories import make_grader, new_submission
from xqueue_bridge.db.update import Update, insert_row, insert_row_if, one_statement
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.queue import enqueue
from xqueue_bridge.submission_queue.states import Status, finished

pytestmark = pytest.mark.django_db


def test_it_changes_the_rows_that_the_orm_would_change(django_assert_num_queries):
    """Names are compared without the white space around them, and case-sensitively."""
    for queue_name in ("python", "c", "C"):
        enqueue(new_submission(queue_name))
    with django_assert_num_queries(1):
        changed = Update(
            Submission,
            finished(Status.ANSWERED),
            where={"user_id": 7},
            among={"queue_name": [" python ", "C"], "status": {Status.WAITING, Status.LEASED}},
        ).execute()
    assert changed == 2
    answered = Submission.objects.filter(available_at=None, due_at=None, status="answered")
    assert set(answered.values_list("queue_name", flat=True)) == {"python", "C"}
    assert Submission.objects.get(queue_name="c").status == Status.WAITING


def test_without_values_to_compare_with_nothing_is_changed(django_assert_num_queries):
    """As the ORM does with an empty list."""
    enqueue(new_submission())
    with django_assert_num_queries(0):
        nothing = Update(Submission, {"deliveries": 1}, where={}, among={"queue_name": ()})
        assert not nothing.execute()
        assert insert_row_if(nothing, ReceivedReply()) is None


def test_same_values_count_as_changed():
    """MySQL and MariaDB would count only rows whose values differ."""
    enqueue(new_submission())
    pk = Submission.objects.get().pk
    for _ in range(2):
        assert Update(Submission, {"queue_name": "c"}, where={"id": pk}, among={}).execute() == 1


def answer_of_a_submission() -> tuple[int, Update]:
    """Return the id of a new submission, and the UPDATE that a result of it makes."""
    enqueue(new_submission())
    pk = Submission.objects.get().pk
    return pk, Update(Submission, finished(Status.ANSWERED), where={"id": pk}, among={})


def new_reply(submission_id: int, digest: str | None = "0" * 64) -> ReceivedReply:
    """Return a row with texts and numbers that SQL could misread."""
    return ReceivedReply(
        submission_id=submission_id,
        source="put_result",
        body="%s ' \" \\ \U0001f40d",
        digest=digest,
        received_at=timezone.now(),
        correct=True,
        score_given=0.1,
        tests=[{"name": "50 %"}],
    )


def test_inserted_row_is_what_the_orm_would_insert(django_assert_num_queries):
    enqueue(new_submission())
    row = new_reply(Submission.objects.get().pk)
    with django_assert_num_queries(1):
        row.pk = insert_row(row)
    stored = ReceivedReply.objects.get()
    fields = [field.attname for field in ReceivedReply._meta.concrete_fields]
    assert {n: getattr(stored, n) for n in fields} == {n: getattr(row, n) for n in fields}


@pytest.mark.django_db(transaction=True)
def test_row_is_inserted_together_with_an_update_or_not_at_all(django_assert_num_queries):
    """One statement of PostgreSQL and MariaDB; elsewhere BEGIN, both, and COMMIT."""
    enqueue(new_submission())
    pk = Submission.objects.get().pk
    among = {"status": [Status.WAITING]}
    answer = Update(Submission, finished(Status.ANSWERED), where={"id": pk}, among=among)
    with django_assert_num_queries(1 if one_statement() else 4):
        reply_id = insert_row_if(answer, new_reply(pk))
    assert ReceivedReply.objects.get().pk == reply_id
    with django_assert_num_queries(1 if one_statement() else 3):
        assert insert_row_if(answer, new_reply(pk)) is None
    assert ReceivedReply.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_update_is_undone_if_the_row_cannot_be_inserted():
    pk, answer = answer_of_a_submission()
    with pytest.raises(IntegrityError):
        insert_row_if(answer, new_reply(pk, digest=None))
    assert Submission.objects.get().status == Status.WAITING
    assert not ReceivedReply.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_no_row_has_the_id_0():
    """A grader may send it; MariaDB's key fields refuse to prepare it."""
    answer = Update(Submission, finished(Status.ANSWERED), where={"id": 0}, among={})
    assert insert_row_if(answer, new_reply(0)) is None


@pytest.mark.django_db(transaction=True)
def test_both_belong_to_a_transaction_of_the_caller():
    """MariaDB's block would commit it."""
    pk, answer = answer_of_a_submission()
    with transaction.atomic():
        Submission.objects.filter(pk=pk).update(deliveries=9)
        assert insert_row_if(answer, new_reply(pk))
        transaction.set_rollback(True)
    row = Submission.objects.get()
    assert (row.status, row.deliveries) == (Status.WAITING, 0)
    assert not ReceivedReply.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_connection_commits_each_statement_after_both_and_after_an_error():
    pk, answer = answer_of_a_submission()
    with pytest.raises(IntegrityError):
        insert_row_if(answer, new_reply(pk, digest=None))
    assert insert_row_if(answer, new_reply(pk))
    Submission.objects.filter(pk=pk).update(deliveries=9)
    connection.close()  # an open transaction is rolled back
    assert Submission.objects.get().deliveries == 9
    assert ReceivedReply.objects.count() == 1


def test_grader_of_another_queue_cannot_return_a_result():
    grader, other = make_grader(), make_grader("c", name="other")
    enqueue(new_submission())
    pulled = grader.pull()
    assert other.put(pulled.header)["content"] == "Submission does not exist"
    assert grader.put(pulled.header)["return_code"] == 0
