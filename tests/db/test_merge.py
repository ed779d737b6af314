"""One statement that inserts rows or merges them into the rows that exist."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.course_grades.models import GradeRecalculation
from xqueue_bridge.db import merge

pytestmark = pytest.mark.django_db

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
WHEN = datetime(2026, 11, 29, 12, tzinfo=UTC)


def add(*requests: tuple[int, int]) -> list[int]:
    """Add to ``wanted`` of (user id, number) and return the sums."""
    rows = [
        {
            "user_id": user_id,
            "course_id": COURSE,
            "wanted": number,
            "done": 0,
            "changes": f"+{number}",
            "attempts": 0,
            "next_attempt_at": WHEN,
            "last_error": "",
        }
        for user_id, number in requests
    ]
    return merge.insert_or_merge(
        GradeRecalculation,
        rows,
        key=("user_id", "course_id"),
        merge=lambda sql: {
            "wanted": f"{sql.old('wanted')} + {sql.new('wanted')}",
            "changes": sql.concat(sql.old("changes"), sql.new("changes")),
        },
        returning="wanted",
    )


def test_new_and_stored_rows(django_assert_num_queries):
    """Values in the order of the rows; other columns of stored rows stay."""
    assert add((1, 5), (2, 7)) == [5, 7]
    GradeRecalculation.objects.filter(user_id=2).update(attempts=3, next_attempt_at=None)
    with django_assert_num_queries(1):
        assert add((2, 10), (3, 1), (1, 2)) == [17, 1, 7]
    rows = GradeRecalculation.objects.order_by("user_id").values_list(
        "user_id", "wanted", "changes", "attempts", "next_attempt_at"
    )
    assert list(rows) == [(1, 7, "+5+2", 0, WHEN), (2, 17, "+7+10", 3, None), (3, 1, "+1", 0, WHEN)]


def test_more_rows_than_one_statement_has(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(merge, "MAX_ROWS", 2)
    with django_assert_num_queries(3):
        assert add(*((number, number) for number in range(1, 6))) == [1, 2, 3, 4, 5]


def test_no_rows(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert add() == []
