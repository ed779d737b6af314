"""Trying again after a collision."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection, transaction

from xqueue_bridge.db import transactions
from xqueue_bridge.db.transactions import MAX_ATTEMPTS, in_transaction


class Cause(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def collision(vendor: str) -> OperationalError:
    if vendor == "sqlite":
        return OperationalError("database is locked")
    if vendor == "postgresql":
        error = OperationalError("deadlock detected")
        error.__cause__ = Cause("40P01")
        return error
    return OperationalError(1213, "Deadlock found when trying to get lock")


class Work:
    """Fails so many times, then returns."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


@pytest.fixture
def pauses(monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(transactions.time, "sleep", slept.append)
    return slept


@pytest.mark.django_db(transaction=True)
def test_a_collision_is_tried_again(pauses):
    """C106: what collides in the database is tried again, after a pause that doubles."""
    work = Work(MAX_ATTEMPTS - 1, collision(connection.vendor))
    assert in_transaction(work) == "done"
    assert work.calls == MAX_ATTEMPTS
    assert len(pauses) == MAX_ATTEMPTS - 1
    for attempt, pause in enumerate(pauses, 1):
        assert 0.005 * 2**attempt <= pause <= 0.01 * 2**attempt


@pytest.mark.django_db(transaction=True)
def test_a_lasting_collision_is_the_callers(pauses):
    work = Work(MAX_ATTEMPTS, collision(connection.vendor))
    with pytest.raises(OperationalError):
        in_transaction(work)
    assert work.calls == MAX_ATTEMPTS


@pytest.mark.django_db(transaction=True)
def test_other_errors_are_not_repeated(pauses):
    work = Work(1, OperationalError("no such table"))
    with pytest.raises(OperationalError):
        in_transaction(work)
    assert work.calls == 1


@pytest.mark.django_db(transaction=True)
def test_committed_work_is_not_run_again(pauses):
    """C106: an on_commit function that collides does not run committed work again."""
    after_commit, work = Work(1, collision(connection.vendor)), Work(0, Exception())

    def work_and_more() -> str:
        transaction.on_commit(after_commit)
        return work()

    with pytest.raises(OperationalError):
        in_transaction(work_and_more)
    assert work.calls == after_commit.calls == 1
    assert in_transaction(work_and_more) == "done"


@pytest.mark.django_db(transaction=True)
def test_inside_a_callers_transaction_there_is_one_attempt(pauses):
    work = Work(1, collision(connection.vendor))
    with pytest.raises(OperationalError), transaction.atomic():
        in_transaction(work)
    assert work.calls == 1


@pytest.mark.parametrize(
    ("vendor", "is_collision"), [("sqlite", True), ("postgresql", True), ("mysql", True)]
)
def test_each_database_says_it_in_its_own_way(vendor, is_collision):
    """SG23: each by its own words, or its own codes."""
    assert transactions._is_collision(collision(vendor), vendor) is is_collision
    assert not transactions._is_collision(OperationalError("the disk is full"), vendor)


@pytest.mark.parametrize(
    ("code", "is_collision"), [(1020, True), (1205, True), (1213, True), (1146, False)]
)
def test_codes_of_mysql(code, is_collision):
    """SG23: record changed, lock wait timeout, deadlock; not a missing table."""
    assert transactions._is_collision(OperationalError(code, "text"), "mysql") is is_collision
    assert not transactions._is_collision(OperationalError(), "mysql")


def test_both_drivers_of_postgresql():
    """SG23: psycopg 2 has another name for the same codes: a deadlock, a serialisation failure."""
    error = OperationalError("deadlock detected")
    error.__cause__ = cause = Exception()
    for code, is_collision in (("40P01", True), ("40001", True), ("57014", False)):
        cause.pgcode = code
        assert transactions._is_collision(error, "postgresql") is is_collision


@pytest.mark.django_db(transaction=True)
def test_an_error_after_the_commit_is_logged(caplog):
    """Also that of a partial, which has no name; the caller's commit succeeds."""
    done = []
    with transaction.atomic():
        transactions.after_commit(partial(divmod, 1, 0))
        transactions.after_commit(partial(done.append, 1))
    assert done == [1]
    assert "division" in caplog.text or "modulo" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_transaction_of_the_caller():
    assert not transactions.in_callers_transaction()
    with transaction.atomic():
        assert transactions.in_callers_transaction()


@pytest.mark.django_db
def test_the_transaction_of_a_test_case_is_not_the_callers():
    assert not transactions.in_callers_transaction()
    with transaction.atomic():
        assert transactions.in_callers_transaction()


@pytest.mark.parametrize(
    ("has_row_locks", "mode", "expected"),
    [(True, None, False), (False, None, True), (False, "DEFERRED", True)]
    + [(False, mode, False) for mode in ("IMMEDIATE", "EXCLUSIVE")],
)
def test_only_a_write_locks_unless_transactions_begin_with_the_lock(
    monkeypatch, has_row_locks, mode, expected
):
    """SG23: then it has to come first, because SQLite may refuse a write after a read."""
    features = SimpleNamespace(has_select_for_update=has_row_locks)
    database = SimpleNamespace(features=features, transaction_mode=mode)
    monkeypatch.setattr(transactions, "connections", {"default": database})
    assert transactions.locks_by_writing() is expected
