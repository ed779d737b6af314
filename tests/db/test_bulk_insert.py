"""One INSERT for many rows stores what the ORM would have stored."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.db import bulk_insert
from xqueue_bridge.learner_state.models import StudentModule

pytestmark = pytest.mark.django_db

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
NOW = timezone.now()


def row(number: int = 0, student_id: int = 7, **values: object) -> StudentModule:
    key = UsageKey.from_string(f"block-v1:DemoX+CS101+2026+type@problem+block@b{number}")
    return StudentModule(
        **{
            "student_id": student_id,
            "course_id": COURSE,
            "module_state_key": key,
            "module_type": "problem",
            "state": '{"answer": "q\'uote \\\\u0000 %s \\u00fc \\ud83d\\ude00 \U0001f600"}',
            "grade": 0.1,
            "max_grade": None,
            "version": 2**40,
            "created": NOW,
            "modified": NOW,
            **values,
        }
    )


def stored(student_id: int) -> list[tuple]:
    names = [field.attname for field in StudentModule._meta.concrete_fields]
    names = [name for name in names if name not in ("id", "student_id")]
    rows = StudentModule.objects.filter(student_id=student_id).order_by("module_state_key")
    return list(rows.values_list(*names))


def test_as_the_orm_would():
    """SG14: values, keys and times are stored as by the ORM."""
    bulk_insert.insert(StudentModule, [row(n) for n in range(9)])
    StudentModule.objects.bulk_create(row(n, student_id=8) for n in range(9))
    assert stored(7) == stored(8)


def test_a_key_with_a_branch():
    branched = COURSE.for_branch("draft-branch")
    bulk_insert.insert(StudentModule, [row(course_id=branched)])
    StudentModule.objects.bulk_create([row(student_id=8, course_id=branched)])
    assert stored(7) == stored(8)


def test_new_rows_are_given_their_ids():
    rows = [row(n) for n in range(5)]
    bulk_insert.insert(StudentModule, rows)
    if connection.features.can_return_rows_from_bulk_insert:
        found = {each.module_state_key: each.pk for each in StudentModule.objects.all()}
        assert {each.module_state_key: each.pk for each in rows} == found


def test_overwrite():
    """SG18: only what is named is written over."""
    bulk_insert.insert(StudentModule, [row(), row(1)])
    changed = list(StudentModule.objects.order_by("pk"))
    later = NOW + timedelta(days=1)
    for each in changed:
        each.state, each.grade, each.modified = "{}", 5, later
    bulk_insert.insert(StudentModule, changed, overwrite=("state", "modified"))
    found = StudentModule.objects.values_list("state", "grade", "modified")
    assert list(found) == [("{}", 0.1, later)] * 2


def test_keep():
    """What is there stays as it is; the rest is inserted."""
    bulk_insert.insert(StudentModule, [row(1)])
    bulk_insert.insert(StudentModule, [row(0), row(1, state="{}"), row(2)], keep=True)
    found = StudentModule.objects.order_by("module_state_key").values_list("state", flat=True)
    assert list(found) == [row().state] * 3


def test_a_row_that_is_there():
    bulk_insert.insert(StudentModule, [row()])
    with pytest.raises(IntegrityError):
        bulk_insert.insert(StudentModule, [row(1), row()])


def test_no_rows(django_assert_num_queries):
    with django_assert_num_queries(0):
        bulk_insert.insert(StudentModule, [])


def test_many(django_assert_num_queries):
    """SG25: what a write holds is one statement; beyond what a statement can hold, several."""
    with django_assert_num_queries(1):
        bulk_insert.insert(StudentModule, [row(n) for n in range(400)])
    with django_assert_num_queries(2):
        bulk_insert.insert(StudentModule, [row(n, student_id=8) for n in range(5000)])
    assert StudentModule.objects.count() == 5400


def test_statement_has_at_most_so_many_characters(monkeypatch):
    monkeypatch.setattr(bulk_insert, "_CHARACTERS", 10)
    values = [("aaaaa", 1), ("bbbbb", None), ("c", 2), ("d" * 11, 3), ("e" * 9, 4), ("f", 5)]
    parts = bulk_insert._parts(values, 2, connection)
    expected = [values[:2], values[2:3], values[3:4], values[4:]]
    assert [values[part] for part in parts] == expected
