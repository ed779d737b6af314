"""Factories of rows with history entries, and functions that read the entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.learner_state.history import store
from xqueue_bridge.learner_state.history.models import (
    BaseStudentModuleHistory,
    Reason,
    StudentModuleHistory,
    StudentModuleHistoryExtended,
)
from xqueue_bridge.learner_state.models import StudentModule

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
BLOCK = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@loops")
OTHER = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@lists")
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
ADA = 7

PLAIN, EXTENDED = StudentModuleHistory, StudentModuleHistoryExtended

TO_EXTENDED = {"HISTORY_EXTENDED": True, "HISTORY_READ_BOTH": True}
TO_PLAIN = {"HISTORY_EXTENDED": False, "HISTORY_READ_BOTH": True}
TWO_DATABASES = {**TO_EXTENDED, "HISTORY_DATABASE": "history"}


def make_row(usage_key: UsageKey = BLOCK, student_id: int = ADA, **columns: Any) -> StudentModule:
    values = {"state": "{}", "version": 0, "created": START, "modified": START, **columns}
    return StudentModule.objects.create(
        student_id=student_id,
        course_id=COURSE,
        module_state_key=usage_key,
        module_type="problem",
        **values,
    )


def write(row: StudentModule, reason: Reason = Reason.STATE, **columns: Any) -> None:
    """Write the row as the client does: one version, one minute and one entry more."""
    row.version += 1
    row.modified = START + timedelta(minutes=row.version)
    for name, value in {"state": f'{{"n": {row.version}}}', **columns}.items():
        setattr(row, name, value)
    row.save()
    store.record([row], reason)


@contextmanager
def rolled_back() -> Iterator[None]:
    """Run the code in a transaction, and roll the transaction back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def read_entries(
    usage_key: UsageKey = BLOCK, student_id: int = ADA
) -> list[BaseStudentModuleHistory]:
    return list(store.read(student_id, usage_key, COURSE))


def versions(usage_key: UsageKey = BLOCK) -> list[int]:
    return [entry.version for entry in read_entries(usage_key)]


def fill(
    table: type[BaseStudentModuleHistory],
    row_id: int,
    written: Iterable[int],
    *,
    using: str = "default",
    created: datetime = START,
    **columns: Any,
) -> None:
    """Insert entries directly into a table, one minute apart for each version."""
    about = {"student_id": ADA, "course_id": COURSE, "module_state_key": BLOCK, "reason": "state"}
    table.objects.using(using).bulk_create(
        table(
            student_module_id=row_id,
            version=version,
            created=created + timedelta(minutes=version),
            **{"state": f'{{"n": {version}}}', **about, **columns},
        )
        for version in written
    )


def identities(table: type[BaseStudentModuleHistory], using: str = "default") -> list[Any]:
    """Return (row, version) of all entries in a table, in order."""
    entries = table.objects.using(using).order_by("student_module_id", "version")
    return list(entries.values_list("student_module_id", "version"))
