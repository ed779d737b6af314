"""The database's plan of the statement with which a pull finds the oldest submission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

from xqueue_bridge.submission_queue import queue

_VERBS = {
    "postgresql": "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF)",
    "mysql": "EXPLAIN",
    "sqlite": "EXPLAIN QUERY PLAN",
}


def pull_statement(queue_name: str) -> tuple[str, Any]:
    """Return the first statement of a pull and its parameters; the pull is rolled back."""
    seen: list[tuple[str, Any]] = []

    def record(
        execute: Callable[..., object], sql: str, params: Any, many: bool, context: Any
    ) -> object:
        if not sql.startswith(("BEGIN", "SAVEPOINT")):
            seen.append((sql, params))
        return execute(sql, params, many, context)

    with transaction.atomic():
        with connection.execute_wrapper(record):
            queue.pull(queue_name, None)
        transaction.set_rollback(True)
    return seen[0]


def pull_plan(queue_name: str) -> str:
    """Return the plan; on PostgreSQL with the numbers of rows and pages that were read."""
    sql, params = pull_statement(queue_name)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"{_VERBS[connection.vendor]} {sql}", params)
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description]
        transaction.set_rollback(True)
    if connection.vendor == "mysql":
        lines = [", ".join(f"{n}={v}" for n, v in zip(names, row, strict=True)) for row in rows]
        return "\n".join(lines)
    column = 3 if connection.vendor == "sqlite" else 0
    return "\n".join(str(row[column]) for row in rows)
