"""Pruning history by number and age, and deleting the history of deleted rows."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tests.learner_state.history_factories import (
    EXTENDED,
    PLAIN,
    START,
    TO_EXTENDED,
    TWO_DATABASES,
    fill,
    identities,
    make_row,
)
from xqueue_bridge.learner_state.history import prune as retention
from xqueue_bridge.learner_state.history.prune import Policy, PruneProgress
from xqueue_bridge.learner_state.models import StudentModule

pytestmark = pytest.mark.django_db


def prune(policy: Policy, **options) -> int:
    *_, last = retention.prune(policy, **options)
    return last.deleted


def kept(row_id: int, table=PLAIN, using: str = "default") -> list[int]:
    return [version for row, version in identities(table, using) if row == row_id]


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(retention, "PAGE", 7)
    monkeypatch.setattr(retention, "CHUNK", 4)


@given(
    rank=st.integers(0, 50), last=st.none() | st.integers(1, 50), age=st.integers(-5, 5) | st.none()
)
def test_policy_keeps_entries_by_number_or_by_age(rank, last, age):
    since = None if age is None else START + timedelta(days=age)
    keeps = Policy(last, since).keeps(rank, START)
    assert keeps == (rank == 0 or rank < (last or 0) or (since is not None and since <= START))


def test_keep_last_deletes_all_but_the_newest():
    """SG33: keep the newest 10 of 50; delete nothing in a second run."""
    fill(PLAIN, 1, range(1, 51))
    assert prune(Policy(keep_last=10)) == 40
    assert kept(1) == list(range(41, 51))
    assert prune(Policy(keep_last=10)) == 0


def test_dry_run_returns_the_count_and_deletes_nothing(small_pages):
    """SG33: return the number that a run would delete."""
    fill(PLAIN, 1, range(1, 51))
    fill(EXTENDED, 2, range(1, 12))
    assert prune(Policy(keep_last=10), dry_run=True) == 41
    assert len(kept(1)) == 50


def test_newest_entry_stays_whatever_its_age():
    fill(PLAIN, 1, [1, 2, 3])
    fill(PLAIN, 2, [1])
    assert prune(Policy(since=timezone.now() + timedelta(days=9))) == 2
    assert identities(PLAIN) == [(1, 3), (2, 1)]


def test_keep_last_and_since_keep_the_larger_part():
    fill(PLAIN, 1, range(1, 21))  # version n is n minutes old history
    since = START + timedelta(minutes=16)
    assert prune(Policy(keep_last=2, since=since), dry_run=True) == 15
    assert prune(Policy(keep_last=8, since=since), dry_run=True) == 12
    assert prune(Policy(since=since)) == 15
    assert kept(1) == [16, 17, 18, 19, 20]


@pytest.mark.parametrize("options", [{}, TO_EXTENDED])
def test_keep_last_counts_entries_of_both_tables(settings, options, small_pages):
    settings.XQUEUE_BRIDGE = options
    for row in (1, 2, 3):
        fill(PLAIN, row, range(1, 30, 2))
        fill(EXTENDED, row, range(2, 30, 2))
    fill(EXTENDED, 2, [29])  # being moved: in both
    prune(Policy(keep_last=4))
    assert kept(1) == kept(2) == kept(3) == [27, 29]
    assert kept(1, EXTENDED) == kept(3, EXTENDED) == [26, 28]
    assert kept(2, EXTENDED) == [26, 28, 29]


def test_interrupted_prune_continues_at_the_reported_row(small_pages):
    """SG33: keep deleted entries deleted, and delete the rest from the reported row on."""
    for row in range(1, 21):
        fill(PLAIN, row, range(1, 11))
    walk = retention.prune(Policy(keep_last=3))
    for _ in range(8):
        stopped = next(walk)
    walk.close()
    done = 200 - PLAIN.objects.count()
    assert 0 < done < 140
    assert 1 < stopped.student_module_id < 20
    assert prune(Policy(keep_last=3), start=stopped.student_module_id) == 140 - done
    assert identities(PLAIN) == [(row, v) for row in range(1, 21) for v in (8, 9, 10)]


def test_entries_written_during_a_prune_stay(small_pages):
    fill(PLAIN, 1, range(1, 30))
    walk = retention.prune(Policy(keep_last=3))
    next(walk)
    fill(PLAIN, 1, [30, 31])
    list(walk)
    assert kept(1) == [27, 28, 29, 30, 31]


@pytest.mark.django_db(databases=["default", "history"], transaction=True)
def test_keep_last_counts_entries_of_both_databases(settings, small_pages):
    """SG33: count the entries of two databases together."""
    settings.XQUEUE_BRIDGE = TWO_DATABASES
    fill(PLAIN, 1, range(1, 20))
    fill(EXTENDED, 1, range(20, 40), using="history")
    assert prune(Policy(keep_last=25)) == 14
    assert kept(1) == [15, 16, 17, 18, 19]
    assert len(kept(1, EXTENDED, "history")) == 20


@pytest.mark.django_db(databases=["default", "history"], transaction=True)
def test_entry_of_a_rolled_back_write_does_not_count_as_newest(settings):
    """SG33: keep an entry whose write failed, without counting it as a newest one."""
    settings.XQUEUE_BRIDGE = TWO_DATABASES
    row, gone = make_row(version=2), make_row(student_id=1, version=2)
    for each in (row, gone):
        fill(EXTENDED, each.pk, [1, 2, 3], using="history")  # there is no version 3
    StudentModule.objects.filter(pk=gone.pk).delete()  # and here: nothing is known of any
    fill(EXTENDED, gone.pk, [1, 2, 3], using="history")
    assert prune(Policy(keep_last=1)) == 1 + 2
    assert kept(row.pk, EXTENDED, "history") == [2, 3]
    assert kept(gone.pk, EXTENDED, "history") == [3]


def test_memory_does_not_grow_with_the_table(monkeypatch):
    """SG33: take less than 50 bytes for each further entry; in a list, it takes 250."""
    monkeypatch.setattr(retention, "PAGE", 200)
    monkeypatch.setattr(retention, "CHUNK", 50)
    fill(PLAIN, 1, range(1, 1_001), state="x")
    prune(Policy(keep_last=1), dry_run=True)  # what is loaded once is loaded
    before = peak()
    fill(PLAIN, 1, range(1_001, 4_001), state="x")
    assert peak() - before < 3_000 * 50


def peak() -> int:
    tracemalloc.start()
    try:
        prune(Policy(keep_last=1), dry_run=True)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.django_db(transaction=True)
def test_prune_takes_a_select_for_each_page_and_a_transaction_for_each_chunk(
    django_assert_num_queries, monkeypatch
):
    """2 find the first row, SELECT for each page and one more, BEGIN, DELETE, COMMIT each chunk."""
    monkeypatch.setattr(retention, "PAGE", 50)
    monkeypatch.setattr(retention, "CHUNK", 20)
    fill(PLAIN, 1, range(1, 101))
    with django_assert_num_queries(2 + (3 + 1) + 3 * 5):
        assert prune(Policy(keep_last=10)) == 90


class TestOrphans:
    def test_history_of_deleted_rows_is_deleted(self, monkeypatch):
        """SG32: delete the history that a crash between two databases has left."""
        monkeypatch.setattr(retention, "CHUNK", 3)
        rows = [make_row(student_id=n).pk for n in range(1, 6)]
        gone = range(max(rows) + 1, max(rows) + 6)
        for row in (*rows, *gone):
            fill(PLAIN, row, [1, 2], created=timezone.now() - timedelta(hours=2))
            fill(EXTENDED, row, [3], created=timezone.now() - timedelta(hours=2))
        *_, counted = retention.prune_orphans(dry_run=True)
        *_, deleted = retention.prune_orphans()
        assert counted.deleted == deleted.deleted == 15
        assert {row for row, _ in identities(PLAIN) + identities(EXTENDED)} == set(rows)

    def test_history_of_a_row_that_may_be_uncommitted_stays(self):
        fill(PLAIN, 1, [1], created=timezone.now())
        *_, last = retention.prune_orphans()
        assert last.deleted == 0

    def test_empty_tables_delete_nothing(self):
        assert list(retention.prune_orphans()) == [PruneProgress(0)]
        assert prune(Policy(keep_last=1)) == 0
