"""Moving history between tables and databases, also if the process is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from multiprocessing import get_context

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.utils import timezone

from tests.integration.killable_processes import die_at
from tests.learner_state.history_factories import (
    BLOCK,
    COURSE,
    EXTENDED,
    OTHER,
    PLAIN,
    START,
    TO_EXTENDED,
    TWO_DATABASES,
    fill,
    identities,
    make_row,
    rolled_back,
    versions,
    write,
)
from tests.moments import STEP
from xqueue_bridge import api
from xqueue_bridge.db import bulk_insert
from xqueue_bridge.db.transactions import locks_by_writing
from xqueue_bridge.learner_state.history import move as moving
from xqueue_bridge.learner_state.history import prune, store
from xqueue_bridge.learner_state.history.move import HistoryTable

pytestmark = pytest.mark.django_db(databases=["default", "history"], transaction=True)

HERE = HistoryTable(PLAIN, "default")
BESIDE = HistoryTable(EXTENDED, "default")
THERE = HistoryTable(EXTENDED, "history")


def move(source: HistoryTable, target: HistoryTable, chunk: int = 7) -> int:
    *_, last = moving.move(source, target, chunk=chunk)
    return last.moved


def contents(history: HistoryTable) -> list[tuple]:
    return sorted(history.entries.values_list(*moving._FIELDS), key=lambda entry: entry[:2])


@pytest.mark.parametrize(
    ("source", "target"),
    [(HERE, BESIDE), (HERE, THERE), (BESIDE, THERE), (THERE, HERE)],
    ids=lambda history: f"{history.table.__name__}@{history.alias}",
)
def test_move_copies_all_entries_and_deletes_them_at_the_source(source, target):
    for row in (1, 2, 3):
        fill(source.table, row, range(1, 11), using=source.alias, grade=0.1, max_grade=1)
    before = contents(source)
    assert move(source, target) == 30
    assert contents(target) == before
    assert contents(source) == []
    assert move(source, target) == 0


def test_move_to_the_same_table_is_an_error():
    with pytest.raises(ValueError, match="the same"):
        move(HERE, HERE)


def test_entries_are_read_once_at_every_step_of_a_move(settings):
    """SG34: read every entry once after each chunk of the move."""
    settings.XQUEUE_BRIDGE = TWO_DATABASES | {"HISTORY_KEEP_AFTER_DELETE": True}
    fill(PLAIN, 1, range(1, 21))
    for _ in moving.move(HERE, THERE, chunk=3):
        assert versions() == list(range(20, 0, -1))


@pytest.mark.parametrize(
    ("source", "target", "extended"), [(HERE, THERE, True), (THERE, HERE, False)]
)
def test_entries_moved_between_the_reads_of_both_tables_are_read(
    settings, monkeypatch, source, target, extended
):
    """SG34: move all entries after the first table was read, and before the second."""
    settings.XQUEUE_BRIDGE = TWO_DATABASES | {
        "HISTORY_EXTENDED": extended,
        "HISTORY_KEEP_AFTER_DELETE": True,
    }
    fill(source.table, 1, range(1, 21), using=source.alias)
    real = store._newest_first

    def then_move(table, about):
        found = list(real(table, about))
        move(source, target)
        return iter(found)

    monkeypatch.setattr(store, "_newest_first", then_move)
    assert versions() == list(range(20, 0, -1))


def test_existing_copies_are_not_copied_again():
    fill(PLAIN, 1, range(1, 21))
    fill(EXTENDED, 1, range(1, 6), using="history")
    before = contents(HERE)
    assert move(HERE, THERE) == 20
    assert contents(THERE) == before


def test_later_entry_of_one_version_is_kept():
    """Keep the later of two entries: the earlier may be of a write that failed."""
    later = START.replace(hour=9)
    fill(PLAIN, 1, [1], created=later, state="right")
    fill(EXTENDED, 1, [1], using="history", state="never committed")
    fill(PLAIN, 2, [1], state="never committed")
    fill(EXTENDED, 2, [1], using="history", created=later, state="right")
    move(HERE, THERE)
    assert contents(HERE) == []
    assert set(THERE.entries.values_list("state", flat=True)) == {"right"}
    assert len(contents(THERE)) == 2


def test_entry_of_a_rolled_back_write_is_not_moved(settings):
    """SG33, SG34: move no entry whose write failed, and never read it."""
    settings.XQUEUE_BRIDGE = TWO_DATABASES
    row, busy = make_row(), make_row(OTHER)
    for each in (row, busy):
        write(each)
        with rolled_back():
            write(each, state='{"lost": true}')
    THERE.entries.filter(student_module_id=busy.pk).update(created=timezone.now())
    assert move(THERE, HERE) == 2
    assert identities(EXTENDED, "history") == [(busy.pk, 2)], "it may still be committed"
    for _ in range(2):
        assert (versions(), versions(OTHER)) == ([1], [1])
        list(prune.prune(prune.Policy(keep_last=1)))
    settings.XQUEUE_BRIDGE = {}
    assert (versions(), versions(OTHER)) == ([1], [1])


@pytest.mark.parametrize("loses", ["nothing arrives", "it arrives changed", "it cannot be changed"])
def test_chunk_whose_copy_differs_is_not_deleted(monkeypatch, loses):
    fill(PLAIN, 1, range(1, 11))
    if loses == "nothing arrives":
        monkeypatch.setattr(moving, "_copy", lambda chunk, target: None)
    elif loses == "it arrives changed":
        fill(EXTENDED, 1, [3], using="history", state="something else")
    else:
        fill(EXTENDED, 1, [3], using="history", created=START.replace(hour=7))
        monkeypatch.setattr(moving, "insert", lambda *args: None)
    with pytest.raises(moving.CopyDiffers):
        move(HERE, THERE, chunk=20)
    assert len(contents(HERE)) == 10


def test_chunks_take_the_same_number_of_statements(django_assert_num_queries):
    """Source: BEGIN, (lock), SELECT, DELETE, COMMIT; target: BEGIN, INSERT, COMMIT, SELECT."""
    for row in range(1, 31):
        fill(PLAIN, row, [1, row + 1])
    lock = 2 if locks_by_writing() else 1
    ids = list(HERE.entries.order_by("pk").values_list("pk", flat=True))
    for chunk in (ids[:5], ids[5:55]):
        with (
            django_assert_num_queries(3 + lock),
            django_assert_num_queries(4, connection=connections["history"]),
        ):
            assert moving._move_chunk(HERE, THERE, chunk) == len(chunk)


def test_entries_are_locked_before_they_are_read(assert_locks_first):
    """SG34: also on a SQLite whose transactions begin without a lock."""
    fill(PLAIN, 1, [1, 2])
    ids = list(HERE.entries.values_list("pk", flat=True))
    assert_locks_first(lambda: moving._move_chunk(HERE, THERE, ids))
    assert len(contents(THERE)) == 2


def test_large_entries_are_inserted_in_several_statements(monkeypatch, django_assert_num_queries):
    """SG34: move a chunk that is larger than one statement may be."""
    monkeypatch.setattr(bulk_insert, "_CHARACTERS", 5_000)
    fill(PLAIN, 1, range(1, 21), state="x" * 1_000)
    before = contents(HERE)
    with django_assert_num_queries(2 + 5 + 1, connection=connections["history"]):
        assert move(HERE, THERE, chunk=20) == 20  # BEGIN, five INSERTs, COMMIT, SELECT
    assert contents(THERE) == before


def test_two_moves_at_once_move_each_entry_once():
    fill(PLAIN, 1, range(1, 201))
    before = contents(HERE)
    counts = []

    def run():
        try:
            counts.append(move(HERE, THERE, chunk=9))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 200
    assert contents(THERE) == before
    assert contents(HERE) == []


@pytest.mark.parametrize("options", [TO_EXTENDED, TWO_DATABASES])
def test_entries_written_during_a_move_are_neither_lost_nor_doubled(settings, options):
    """Write and read at every step of the move."""
    settings.XQUEUE_BRIDGE = {**options, "HISTORY_EXTENDED": False}
    learner = get_user_model().objects.create_user("ada").pk
    for n in range(40):
        api.save_fields(learner, COURSE, BLOCK, {"n": n})
    settings.XQUEUE_BRIDGE = options
    target = HistoryTable(EXTENDED, options.get("HISTORY_DATABASE", "default"))
    for _ in moving.move(HERE, target, chunk=4):
        api.save_fields(learner, COURSE, BLOCK, {"m": time.monotonic()})
        seen = [entry.version for entry in api.read_history(learner, BLOCK, COURSE)]
        assert seen == list(range(len(seen), 0, -1))
    assert len(seen) == 40 + 11
    assert contents(HERE) == []


class TestKilled:
    """Kill a process with SIGKILL while it moves entries, then move again."""

    @pytest.mark.parametrize("target", [BESIDE, THERE], ids=["one database", "two databases"])
    @pytest.mark.parametrize("step", ["_lock", "_copy", "_verify", "_delete"])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_process_killed_at_a_step_loses_no_entry(self, target, step, when, monkeypatch):
        for row in (1, 2):
            fill(PLAIN, row, range(1, 16))
        before = contents(HERE)
        real, calls = getattr(moving, step), []

        def deadly(*args):
            calls.append(1)
            if when == "before" and len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args)
            if when == "after" and len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        monkeypatch.setattr(moving, step, deadly)
        assert in_a_process(lambda: move(HERE, target, chunk=6)) == -signal.SIGKILL
        monkeypatch.undo()
        assert set(identities(PLAIN)) | set(identities(target.table, target.alias)) == {
            entry[:2] for entry in before
        }
        assert len(contents(HERE)) == 18, "two chunks are gone, the third is not"
        assert move(HERE, target) == 18
        assert contents(target) == before
        assert contents(HERE) == []

    def test_process_killed_at_any_statement_loses_no_entry(self):
        """Kill it before or after each of the first 40 statements in either database."""
        for row in range(1, 11):
            fill(PLAIN, row, range(1, 61))
        before = contents(HERE)

        def die_moving(moment: int) -> None:
            die_at(moment, HERE.alias, THERE.alias)
            move(HERE, THERE, chunk=5)

        for moment in range(1, 41, STEP):
            assert in_a_process(partial(die_moving, moment)) == -signal.SIGKILL
            found = identities(PLAIN) + identities(EXTENDED, THERE.alias)
            assert set(found) == {entry[:2] for entry in before}
        assert move(HERE, THERE) > 0, "there was something left to die over"
        assert contents(THERE) == before


def in_a_process(job) -> int:
    """Run a job in a child process; return its exit code."""
    connections.close_all()  # a connection must not be in two processes
    child = get_context("fork").Process(target=job)
    child.start()
    child.join(60)
    assert not child.is_alive()
    return child.exitcode
