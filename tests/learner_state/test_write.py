"""Writing rows: collisions, races, and the columns that are stored."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, OperationalError, connection, transaction

from tests.db.test_transactions import collision
from xqueue_bridge.db import transactions
from xqueue_bridge.learner_state import write as writing
from xqueue_bridge.learner_state.block_keys import block_key_of, make_block_key
from xqueue_bridge.learner_state.history.models import Reason, StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.row import RowKey
from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient
from xqueue_bridge.testing.user_state.base import (
    BLOCK,
    BLOCKS,
    COURSE,
    DEPRECATED_KEY,
    OLD_RUNS,
    OTHER,
)


@pytest.fixture
def ada(transactional_db):
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def client(ada):
    return DjangoXBlockUserStateClient(ada)


@pytest.fixture
def pauses(monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(transactions.time, "sleep", slept.append)
    return slept


def fail(monkeypatch, name: str, times: int, error: Exception) -> list[int]:
    """Let a step of a write fail ``times`` times; return the list of its calls."""
    step, calls = getattr(writing, name), []

    def sometimes(*args):
        calls.append(len(calls))
        if len(calls) <= times:
            raise error
        return step(*args)

    monkeypatch.setattr(writing, name, sometimes)
    return calls


def test_rows_are_locked_before_they_are_read(client, assert_locks_first):
    """SG23: also on a SQLite whose transactions begin without a lock."""
    for fields in ({"a": 1}, {"a": 2}):
        assert_locks_first(lambda fields=fields: client.set("ada", BLOCK, fields))
    assert client.get("ada", BLOCK).state == {"a": 2}


@pytest.mark.parametrize("step", ["lock_rows", "_insert", "record"])
def test_collision_is_retried(client, monkeypatch, pauses, step):
    """SG23: repeat the transaction after a deadlock or an error of a busy database."""
    calls = fail(monkeypatch, step, 2, collision(connection.vendor))
    client.set_many("ada", {BLOCK: {"a": 1}, OTHER: {"a": 1}})
    assert len(calls) == 3
    assert len(pauses) == 2
    assert [found.state for found in client.get_many("ada", [BLOCK, OTHER])] == [{"a": 1}] * 2
    assert list(StudentModuleHistory.objects.values_list("version", flat=True)) == [1, 1]


def test_collision_in_every_attempt_is_raised_and_stores_nothing(client, monkeypatch, pauses):
    """SG23: raise the database's error after the last attempt, and store nothing."""
    client.set("ada", BLOCK, {"a": 1})
    calls = fail(monkeypatch, "record", 10**6, collision(connection.vendor))
    for write in (
        lambda: client.set_many("ada", {BLOCK: {"b": 2}, OTHER: {"b": 2}}),
        lambda: client.delete("ada", BLOCK),
    ):
        calls.clear()
        with pytest.raises(OperationalError):
            write()
        assert len(calls) == transactions.MAX_ATTEMPTS
    assert [found.state for found in client.get_many("ada", [BLOCK, OTHER])] == [{"a": 1}]


def test_row_inserted_by_another_process_is_read_again(client, monkeypatch, pauses):
    """SG19: read a row again at once, if another process has inserted it first."""
    client.set("ada", OTHER, {"theirs": 1})
    calls = fail(monkeypatch, "_insert", 1, IntegrityError("duplicate key"))
    client.set_many("ada", {BLOCK: {"ours": 1}, OTHER: {"ours": 1}})
    assert len(calls) == 2
    assert pauses == [], "the transaction goes on"
    assert client.get("ada", BLOCK).state == {"ours": 1}
    assert client.get("ada", OTHER).state == {"theirs": 1, "ours": 1}


def test_row_that_is_neither_found_nor_inserted_is_an_error(client, monkeypatch):
    """SG23: raise the error after ``CLAIM_ROUNDS`` attempts."""
    calls = fail(monkeypatch, "_insert", 10**6, IntegrityError("no"))
    with pytest.raises(IntegrityError):
        client.set("ada", BLOCK, {"a": 1})
    assert len(calls) == writing.CLAIM_ROUNDS
    assert not StudentModule.objects.exists()


def test_ids_are_read_if_the_insert_returns_none(client, monkeypatch):
    """SG86: read the ids of inserted rows, because MySQL does not return them."""
    features = connection.features
    monkeypatch.setattr(type(features), "can_return_rows_from_bulk_insert", False)
    monkeypatch.setattr(type(features), "can_return_columns_from_insert", False)
    client.set_many("ada", {block: {"n": n} for n, block in enumerate(BLOCKS)})
    client.set_many("ada", {block: {"m": n} for n, block in enumerate(BLOCKS)})
    found = list(client.get_many("ada", BLOCKS))
    assert [state.state for state in found] == [{"n": n, "m": n} for n in range(len(BLOCKS))]
    rows = dict(StudentModule.objects.values_list("module_state_key", "pk"))
    entries = StudentModuleHistory.objects.values_list("module_state_key", "student_module_id")
    assert {(key, pk) for key, pk in entries} == set(rows.items())


def test_row_has_learner_course_block_type_version_and_times(client, ada):
    """SG86: store learner, course, block, type, version and times."""
    client.set("ada", BLOCK, {"a": 1})
    client.set("ada", BLOCK, {"a": 2})
    row = StudentModule.objects.get()
    assert (row.student_id, row.course_id, row.module_state_key) == (ada.pk, COURSE, BLOCK)
    assert (row.module_type, row.version) == ("problem", 2)
    assert row.created < row.modified
    client.delete("ada", BLOCK)
    reasons = StudentModuleHistory.objects.order_by("version").values_list("reason", flat=True)
    assert list(reasons) == [Reason.STATE, Reason.STATE, Reason.DELETE]


def test_locked_rows_are_those_of_the_requested_run(ada):
    """SG13: lock the rows of the requested run only, although keys are stored alike."""
    keys = [make_block_key(run, DEPRECATED_KEY) for run in OLD_RUNS]
    assert keys[0] != keys[1]
    assert keys[0] == block_key_of(DEPRECATED_KEY.map_into_course(OLD_RUNS[0]))
    change = writing.merge_fields([(keys[0], {"run": 1})])
    assert writing.update_rows(ada.pk, keys[:1], change, Reason.STATE, create=True) == 1
    rows = [RowKey(ada.pk, key) for key in keys]
    with transaction.atomic():
        assert set(writing.lock_rows(rows)) == {rows[0]}
        assert writing.lock_rows(rows[1:]) == {}


def test_write_for_an_unknown_learner_creates_no_row(db):
    """SG17: raise an error, and create no row, for a learner who does not exist."""
    change = writing.merge_fields([(block_key_of(BLOCK), {"a": 1})])
    with pytest.raises(writing.UnknownLearner):
        writing.update_rows(10**9, [block_key_of(BLOCK)], change, Reason.STATE, create=True)
    assert not StudentModule.objects.exists()
