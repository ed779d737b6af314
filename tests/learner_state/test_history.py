"""Writing, reading and deleting history entries, in one or two tables and databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connections, transaction

from tests.learner_state.history_factories import (
    ADA,
    BLOCK,
    COURSE,
    EXTENDED,
    OTHER,
    PLAIN,
    START,
    TO_EXTENDED,
    TO_PLAIN,
    TWO_DATABASES,
    fill,
    identities,
    make_row,
    read_entries,
    rolled_back,
    versions,
    write,
)
from xqueue_bridge.learner_state.history import store
from xqueue_bridge.learner_state.history.batch import history_batch
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.models import StudentModule

pytestmark = pytest.mark.django_db

both_databases = pytest.mark.django_db(databases=["default", "history"], transaction=True)


def test_entries_are_read_newest_first():
    """SG27: read entries by falling time, aware, each with its row's state."""
    row, modified = make_row(), []
    for _ in range(3):
        write(row)
        modified.append(row.modified)
    entries = read_entries()
    assert [entry.state for entry in entries] == ['{"n": 3}', '{"n": 2}', '{"n": 1}']
    assert [entry.created for entry in entries] == modified[::-1]
    assert all(entry.created.tzinfo for entry in entries)


def test_entry_has_copies_of_the_rows_columns():
    write(make_row(grade=1.5, max_grade=3), Reason.SCORE)
    (entry,) = read_entries()
    assert (entry.student_id, entry.course_id, entry.module_state_key) == (ADA, COURSE, BLOCK)
    assert (entry.grade, entry.max_grade, entry.reason) == (1.5, 3, "score")
    assert entry.batch is None
    assert str(entry) == f"version 1 of student module {entry.student_module_id}"


def test_entry_of_a_deleted_state_differs_from_one_without_state():
    """SG28: store in the entry what the row holds: "{}" or NULL."""
    row = make_row(state=None)
    write(row, Reason.SCORE, state=None)
    write(row, Reason.DELETE, state="{}")
    assert [entry.state for entry in read_entries()] == ["{}", None]


def test_row_without_entries_has_no_history():
    """SG29: read no entries of another learner or block."""
    make_row()
    write(make_row(student_id=ADA + 1))
    assert read_entries() == read_entries(OTHER) == []
    store.record([], Reason.STATE)


@pytest.mark.parametrize(
    ("options", "table"),
    [({}, PLAIN), ({"HISTORY_EXTENDED": True}, EXTENDED), ({"HISTORY_READ_BOTH": True}, PLAIN)],
)
def test_settings_select_the_table_that_is_written(settings, options, table):
    settings.XQUEUE_BRIDGE = options
    row = make_row()
    write(row)
    other = EXTENDED if table is PLAIN else PLAIN
    assert identities(table) == [(row.pk, 1)]
    assert identities(other) == []
    assert versions() == [1]


@pytest.mark.parametrize(("before", "after"), [(TO_PLAIN, TO_EXTENDED), (TO_EXTENDED, TO_PLAIN)])
def test_entries_of_both_tables_are_merged_by_time(settings, before, after):
    """SG34: merge the entries of both tables by time."""
    row = make_row()
    for options in (before, after, before, after):
        settings.XQUEUE_BRIDGE = options
        write(row)
    assert versions() == [4, 3, 2, 1]


def test_second_table_is_read_only_with_history_read_both(settings):
    row = make_row()
    write(row)
    settings.XQUEUE_BRIDGE = {"HISTORY_EXTENDED": True}
    assert versions() == []
    settings.XQUEUE_BRIDGE = TO_EXTENDED
    assert versions() == [1]


def test_entry_in_both_tables_is_read_once(settings):
    """SG34: read an entry once that is in both tables while it is moved."""
    settings.XQUEUE_BRIDGE = TO_EXTENDED
    for table in (PLAIN, EXTENDED):
        fill(table, 5, [1, 2])
    assert versions() == [2, 1]


def test_rewritten_version_replaces_its_entry():
    row = make_row()
    write(row, state='{"who": "a write that failed"}')
    row.version = 0
    write(row, state='{"who": "the next one"}')
    assert [entry.state for entry in read_entries()] == ['{"who": "the next one"}']


@pytest.mark.parametrize("options", [{}, TO_EXTENDED])
def test_ids_above_32_bits_are_stored_and_read(settings, options):
    """SG35: store ids above 2^31 of the learner, the row and the entry."""
    settings.XQUEUE_BRIDGE = options
    large = 2**40
    row = make_row(pk=large, version=2**33)
    store.record([row], Reason.STATE)
    table = store.written_table()
    table.objects.update(id=large + 1, student_id=large + 2)
    (entry,) = read_entries(student_id=large + 2)
    assert (entry.pk, entry.student_module_id, entry.version) == (large + 1, large, 2**33)
    assert store.delete_history([large]) == 1


class TestDeletedRows:
    @pytest.mark.parametrize("options", [TO_PLAIN, TO_EXTENDED])
    def test_history_is_deleted_with_its_row(self, settings, options):
        """SG32: delete the history of the row in both tables, and keep that of other rows."""
        settings.XQUEUE_BRIDGE = options
        row, other = make_row(), make_row(OTHER)
        for each in (row, other):
            write(each)
        fill(PLAIN if options is TO_EXTENDED else EXTENDED, row.pk, [7])
        StudentModule.objects.filter(pk=row.pk).delete()
        assert read_entries() == []
        assert versions(OTHER) == [1]

    def test_history_stays_with_history_keep_after_delete(self, settings):
        """SG32: keep the history with HISTORY_KEEP_AFTER_DELETE, so that it can be read."""
        settings.XQUEUE_BRIDGE = {"HISTORY_KEEP_AFTER_DELETE": True}
        row = make_row()
        write(row)
        row.delete()
        assert versions() == [1]

    def test_rolled_back_deletion_keeps_the_history(self):
        row = make_row()
        write(row)
        with rolled_back():
            row.delete()
        assert versions() == [1]

    def test_delete_history_covers_both_tables(self):
        for table in (PLAIN, EXTENDED):
            fill(table, 1, [1, 2])
            fill(table, 2, [1])
        assert store.delete_history([1, 1, 3]) == 4
        assert identities(PLAIN) == identities(EXTENDED) == [(2, 1)]


@both_databases
class TestTwoDatabases:
    @pytest.fixture(autouse=True)
    def _two_databases(self, settings):
        settings.XQUEUE_BRIDGE = TWO_DATABASES

    def test_entries_are_written_to_the_history_database(self):
        row = make_row()
        write(row)
        assert identities(EXTENDED, "history") == [(row.pk, 1)]
        assert identities(EXTENDED, "default") == []
        assert versions() == [1]

    def test_entries_of_both_databases_are_merged_by_time(self, settings):
        """SG34: merge the entries of two databases by time."""
        row = make_row()
        for extended in (False, True, False):
            settings.XQUEUE_BRIDGE = {**TWO_DATABASES, "HISTORY_EXTENDED": extended}
            write(row)
        assert versions() == [3, 2, 1]

    def test_entry_of_a_rolled_back_write_is_not_read(self):
        row = make_row()
        write(row)
        with rolled_back():
            write(row, state='{"lost": true}')
        assert identities(EXTENDED, "history") == [(row.pk, 1), (row.pk, 2)]
        assert versions() == [1]
        row.refresh_from_db()
        write(row)
        assert [entry.state for entry in read_entries()] == ['{"n": 2}', '{"n": 1}']

    def test_entry_of_a_rolled_back_first_write_is_not_read(self):
        with rolled_back():
            write(make_row())
        assert len(identities(EXTENDED, "history")) == 1
        assert read_entries() == []

    def test_history_is_deleted_after_the_commit(self):
        """SG32: delete the history after the row's commit, without a foreign key."""
        row = make_row()
        write(row)
        fill(PLAIN, row.pk, [7])
        with transaction.atomic():
            row.delete()
            assert len(identities(EXTENDED, "history")) == 1
        assert identities(EXTENDED, "history") == identities(PLAIN) == []

    def test_rolled_back_deletion_keeps_the_history(self):
        """SG32: keep the history if the deletion of the row is rolled back."""
        row = make_row()
        write(row)
        with rolled_back():
            row.delete()
        assert versions() == [1]

    def test_history_stays_with_history_keep_after_delete(self, settings):
        """SG32: keep the history with HISTORY_KEEP_AFTER_DELETE, so that it can be read."""
        settings.XQUEUE_BRIDGE = {**TWO_DATABASES, "HISTORY_KEEP_AFTER_DELETE": True}
        row = make_row()
        write(row)
        row.delete()
        assert versions() == [1]


@pytest.mark.django_db(databases=["default", "history"], transaction=True)
class TestStatements:
    """Statements of each access, BEGIN and COMMIT included."""

    @pytest.mark.parametrize("count", [5, 50])
    @pytest.mark.parametrize(
        ("options", "default", "other"),
        [({}, 1, 0), (TO_EXTENDED, 2, 0), (TWO_DATABASES, 2, 1)],
    )
    def test_read_takes_one_statement_for_each_table(
        self, settings, django_assert_num_queries, count, options, default, other
    ):
        """SG31: take one more to learn what was committed, with another database."""
        settings.XQUEUE_BRIDGE = options
        row = make_row(version=count)
        alias = options.get("HISTORY_DATABASE", "default")
        fill(store.written_table(), row.pk, range(1, count + 1), using=alias)
        with (
            django_assert_num_queries(default),
            django_assert_num_queries(other, connection=connections["history"]),
        ):
            assert len(read_entries()) == count

    @pytest.mark.parametrize("count", [1, 50])
    def test_record_takes_one_statement(self, django_assert_num_queries, count):
        rows = self.rows(count)
        with transaction.atomic(), django_assert_num_queries(1):
            store.record(rows, Reason.STATE)

    @pytest.mark.parametrize("count", [1, 50])
    def test_record_takes_one_statement_in_the_history_database(
        self, settings, django_assert_num_queries, count
    ):
        """Take one INSERT in the history database, and no statement in the default one."""
        settings.XQUEUE_BRIDGE = TWO_DATABASES
        rows = self.rows(count)
        with (
            transaction.atomic(),
            django_assert_num_queries(0),
            django_assert_num_queries(1, connection=connections["history"]),
        ):
            store.record(rows, Reason.STATE)

    @pytest.mark.parametrize("count", [1, 50])
    def test_second_record_in_a_batch_takes_two_statements(self, django_assert_num_queries, count):
        """Delete the entry of the batch before inserting the second one."""
        rows = self.rows(count)
        with history_batch(), transaction.atomic():
            with django_assert_num_queries(1):
                store.record(rows, Reason.STATE)
            for row in rows:
                row.version += 1
            with django_assert_num_queries(2):
                store.record(rows, Reason.SCORE)
        assert PLAIN.objects.count() == count

    def test_second_record_in_a_batch_takes_four_in_the_history_database(
        self, settings, django_assert_num_queries
    ):
        """INSERT; after the write's commit BEGIN, DELETE, COMMIT."""
        settings.XQUEUE_BRIDGE = TWO_DATABASES
        rows = self.rows(50)
        with history_batch():
            store.record(rows, Reason.STATE)
            for row in rows:
                row.version += 1
            with django_assert_num_queries(4, connection=connections["history"]):
                with transaction.atomic():
                    store.record(rows, Reason.SCORE)
        assert EXTENDED.objects.count() == 50

    def test_delete_history_takes_one_transaction_for_each_table(self, django_assert_num_queries):
        """BEGIN, DELETE, COMMIT for each table."""
        fill(PLAIN, 1, range(1, 20))
        with django_assert_num_queries(6):
            store.delete_history(range(400))

    def rows(self, count):
        return [
            StudentModule(
                pk=pk,
                student_id=ADA,
                course_id=COURSE,
                module_state_key=BLOCK,
                version=1,
                modified=START + timedelta(seconds=pk),
            )
            for pk in range(1, count + 1)
        ]
