"""10,000 rows for each table of the pages, with long names and names from right to left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Model
from django.utils import timezone

from xqueue_bridge import models

NUMBER = 10_000
LONG = "q" * 128


def add_rows(one: models.Submission, user_ids: Sequence[int], names: Sequence[str]) -> None:
    """Add rows of the course of a submission, of these users, in queues with these names."""
    now = timezone.now()
    grade = models.PersistentCourseGrade.objects.first()
    if grade is None:
        raise LookupError("no course grade is stored")
    of_all = [(n, user_ids[n % len(user_ids)], f"{n} {names[n % 3]}"[:128]) for n in range(NUMBER)]
    common = {"queue_name": LONG, "created_at": now}
    _add(
        models.RegradeItem(
            regrade_id=1,
            original_id=n,
            user_id=user_id,
            queue_name=LONG,
            usage_key=one.usage_key,
            status="down",
            points_before=n,
            changed_at=now,
        )
        for n, user_id, _name in of_all
    )
    _add(
        models.Regrade(
            **common,
            course_key=one.course_key,
            scope="queue",
            status="cancelled",
            author_id=user_id,
            released_until=now,
        )
        for _n, user_id, _name in of_all
    )
    _add(
        models.PersistentCourseGrade(
            user_id=NUMBER + n,
            course_id=grade.course_id,
            percent_grade=0.5,
            exact_percent=0.5,
            passed=False,
            created=now,
            modified=now,
            computed_at=now,
        )
        for n in range(NUMBER)
    )
    _add(
        models.OperatorAction(
            **common,
            kind="grant",
            author_id=user_id,
            finished_at=now,
            parameters={"grader": name, "queues": [LONG]},
        )
        for _n, user_id, name in of_all
    )
    _add(
        models.Alert(
            kind="failed" if n % 2 else "stalled",
            queue_name=name,
            is_open=bool(n % 2),
            changed_at=now,
            detail="1200 s",
            last_error="webhook: ConnectionError" if n % 2 else "",
        )
        for n, _user_id, name in of_all
    )
    _add(
        models.Priority(queue_name=name, course_key=str(one.course_key), level=n % 5 - 2)
        for n, _user_id, name in of_all
    )


def _add(rows: Iterable[Model]) -> None:
    made: list[Any] = list(rows)
    type(made[0]).objects.bulk_create(made, batch_size=1000, ignore_conflicts=True)
