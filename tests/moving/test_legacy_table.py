"""The table of a legacy XQueue server: what is to be done with a row, and who may change it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from tests.moving.legacy_server import ALIAS, HOST, HOUR, make_row, rows
from tests.submission_queue.factories import COURSE
from xqueue_bridge.lms.callback_url import build_path
from xqueue_bridge.moving.legacy_table import CLAIMED, FORWARDED, IMPORTED, LegacyRow, LegacyTable
from xqueue_bridge.protocol.headers import make_xheader

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
OTHER_COURSE = CourseKey.from_string("course-v1:DemoX+CS102+2026")
OTHER_HEADER = make_xheader(
    HOST + build_path(OTHER_COURSE, 7, OTHER_COURSE.make_usage_key("problem", "x"), "score_update"),
    "key-7",
    "python",
)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, "waiting"),
        ({"pull_time": NOW - MINUTE}, "waiting"),
        ({"pull_time": NOW - MINUTE + SECOND}, "leased"),
        ({"push_time": NOW - MINUTE + SECOND}, "leased"),
        ({"push_time": NOW, "pull_time": NOW - HOUR}, "leased"),
        ({"push_time": NOW - HOUR, "pull_time": NOW}, "leased"),
        ({"retired": True}, None),
        ({"grader_reply": "x"}, "answered"),
        ({"grader_reply": "x", "retired": True}, "unacknowledged"),
        ({"grader_reply": "x", "retired": True, "lms_ack": True}, None),
        ({"grader_reply": IMPORTED, "retired": True}, None),
        ({"grader_reply": FORWARDED, "retired": True}, None),
        ({"grader_reply": IMPORTED}, "waiting"),
        ({"grader_reply": CLAIMED, "retired": True}, None),
        ({"grader_reply": CLAIMED, "retired": True, "return_time": NOW - 9 * MINUTE}, None),
        ({"grader_reply": CLAIMED, "retired": True, "return_time": NOW - 10 * MINUTE}, "waiting"),
    ],
)
def test_times_and_reply_of_a_row_say_what_is_to_be_done(values, kind):
    """C131: a row is in one state, also after a claim that crashed or that the server undid."""
    row = LegacyRow(**{"lms_ack": False, "retired": False, **values})
    assert row.kind(MINUTE, NOW) == kind


@pytest.mark.django_db(transaction=True, databases=["default", ALIAS])
@pytest.mark.usefixtures("legacy_table")
class TestStored:
    table = LegacyTable(ALIAS)

    def ids(self, *queues: str, course_key: Any = None, unacknowledged: bool = False) -> list[int]:
        return list(self.table.ids(queues, course_key, unacknowledged=unacknowledged))

    def test_oldest_rows_of_the_queues_and_the_course_are_first(self):
        newer, older = make_row(age=MINUTE), make_row(age=HOUR)
        twin = make_row(queue_name="matlab", arrival_time=rows().get(pk=newer).arrival_time)
        other = make_row(age=MINUTE / 2, xqueue_header=OTHER_HEADER)
        nameless = make_row(age=timedelta(), xqueue_header="{}")
        assert self.ids() == [older, newer, twin, other, nameless]
        assert self.ids("python") == [older, newer, other, nameless]
        assert self.ids("matlab", "java") == [twin]
        assert self.ids(course_key=COURSE) == [older, newer, twin]
        assert self.ids(course_key=OTHER_COURSE) == [other]

    def test_rows_that_are_finished_are_left_out(self):
        waiting = make_row()
        claimed = make_row(retired=True, grader_reply=CLAIMED)
        lost = make_row(retired=True, grader_reply="x")
        make_row(retired=True, grader_reply="x", lms_ack=True)
        for text in ("", IMPORTED, FORWARDED):
            make_row(retired=True, grader_reply=text)
        assert set(self.ids()) == {waiting, claimed}
        assert set(self.ids(unacknowledged=True)) == {waiting, claimed, lost}
        assert {row.pk for row in self.table.open_rows()} == {waiting, claimed}

    @pytest.mark.parametrize(
        "change",
        [
            {"retired": True},
            {"lms_ack": True},
            {"pullkey": "k"},
            {"pull_time": NOW},
            {"push_time": NOW},
            {"return_time": NOW},
        ],
    )
    def test_row_that_the_server_has_changed_is_not_claimed(self, change):
        """C131: one conditional UPDATE ends the row for the server's graders."""
        pk = make_row()
        read = self.table.read(pk)
        rows().filter(pk=pk).update(**change)
        before = rows().filter(pk=pk).values().get()
        assert self.table.claim(read) is False
        assert rows().filter(pk=pk).values().get() == before

    def test_claim_changes_one_row(self):
        pk, other = make_row(pullkey="k"), make_row()
        assert self.table.claim(self.table.read(pk)) is True
        row = rows().get(pk=pk)
        assert (row.retired, row.pullkey, row.grader_reply) == (True, "", CLAIMED)
        assert timezone.now() - row.return_time < MINUTE
        assert rows().get(pk=other).retired is False

    def test_claim_is_undone_unless_the_row_is_finished(self):
        pk, other = make_row(pull_time=NOW), make_row()
        row = self.table.read(pk)
        assert self.table.claim(row)
        self.table.release(row)
        after = rows().get(pk=pk)
        assert (after.retired, after.grader_reply) == (False, "")
        assert (after.pull_time, after.return_time) == (None, None)
        self.table.finish(row, IMPORTED)
        self.table.release(row)
        after = rows().get(pk=pk)
        assert (after.retired, after.pullkey, after.grader_reply) == (True, "", IMPORTED)
        assert timezone.now() - after.return_time < MINUTE
        assert rows().get(pk=other).retired is False

    def test_acknowledged_row_keeps_its_reply(self):
        pk, other = make_row(grader_reply="x", pullkey="k"), make_row()
        self.table.acknowledge(self.table.read(pk))
        row = rows().get(pk=pk)
        assert (row.retired, row.lms_ack, row.pullkey, row.grader_reply) == (True, True, "", "x")
        assert rows().get(pk=other).lms_ack is False

    def test_newer_copy_is_open_has_the_same_header_and_a_larger_id(self):
        assert self.table.newest_id() == 0
        pk = make_row()
        row = self.table.read(pk)
        assert self.table.newest_id() == pk
        assert not self.table.newer_copy(row, pk)
        make_row(8)
        make_row(retired=True)
        assert not self.table.newer_copy(row, pk)
        copy = make_row()
        assert self.table.newest_id() == copy
        assert self.table.newer_copy(row, pk)
        assert not self.table.newer_copy(row, copy)

    def test_deleted_row_is_none(self):
        assert self.table.read(make_row() + 1) is None
        assert self.table.exists()
        assert not LegacyTable("default").exists()
