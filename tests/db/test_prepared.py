"""Statements that Django composes once."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pytest
import time_machine
from django.db.models import F
from django.db.models.sql.compiler import SQLCompiler, SQLUpdateCompiler
from django.utils import timezone

from tests.submission_queue.factories import new_submission
from xqueue_bridge.db.prepared import Parameter, Prepared, PreparedNow
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rows() -> None:
    for queue_name in ("python", "c", "C"):
        queue.enqueue(new_submission(queue_name))


def test_select_finds_what_the_orm_finds(django_assert_num_queries):
    """A name is compared case-sensitively, as the field's column is."""
    named = Submission.objects.filter(queue_name=Parameter("name"), user_id=7)
    statement = Prepared.select(named.values_list("queue_name"))
    with django_assert_num_queries(2):
        assert [tuple(row) for row in statement.fetch(name="c")] == [("c",)]
        assert [tuple(row) for row in statement.fetch(name="C")] == [("C",)]
    assert not list(statement.fetch(name="' OR 1=1 -- %s"))


def test_update_changes_what_the_orm_changes(django_assert_num_queries):
    pk = Submission.objects.get(queue_name="c").pk
    statement = Prepared.update(
        Submission.objects.filter(pk=Parameter("id"), deliveries=0),
        queue_key=Parameter("key"),
        deliveries=F("deliveries") + 1,
        finished_at=None,
    )
    with django_assert_num_queries(2):
        assert statement.change(id=pk, key="50 % 'new'") == 1
        assert statement.change(id=pk, key="again") == 0
    assert Submission.objects.get(deliveries=1).queue_key == "50 % 'new'"
    assert set(Submission.objects.exclude(pk=pk).values_list("deliveries", flat=True)) == {0}


def test_time_is_that_of_the_execution():
    """SQLite has none of its own, so a process must not keep that of the composition."""
    hour = timedelta(hours=1)
    with time_machine.travel(timezone.now() - 2 * hour):
        due = Submission.objects.filter(available_at__lte=PreparedNow())
        statement = Prepared.select(due.values_list("pk"))
        lease = Prepared.update(Submission.objects.all(), available_at=PreparedNow().plus(hour))
    assert len(statement.fetch()) == 3
    assert lease.change() == 3
    assert not statement.fetch()
    ends = timezone.now() + hour
    for at in Submission.objects.values_list("available_at", flat=True):
        assert abs(at - ends) < timedelta(minutes=1)


def test_pull_composes_no_statement_that_it_has_composed(monkeypatch):
    """The ORM would take longer to compose them than MariaDB and SQLite to execute them."""
    monkeypatch.setattr(queue, "pull_at_once", lambda *args: (None, False))
    assert queue.pull("python", None)
    for compiler in (SQLCompiler, SQLUpdateCompiler):
        monkeypatch.setattr(compiler, "as_sql", mock.Mock(side_effect=AssertionError))
    assert queue.pull("c", None)
    assert queue.pull("c", None) is None
