"""The database's plan of a statement, such as that with which a pull finds the first submission."""

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


def pull_plan(queue_name: str) -> str:
    """Return the plan of the first statement of a pull."""
    return plan(lambda: queue.pull(queue_name, None))


def plan(do: Callable[[], object]) -> str:
    """Return the plan of the first statement of ``do``, which is rolled back.

    On PostgreSQL with the numbers of rows and pages that were read.
    """
    sql, params = _first_statement(do)
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


def _first_statement(do: Callable[[], object]) -> tuple[str, Any]:
    seen: list[tuple[str, Any]] = []

    def record(
        execute: Callable[..., object], sql: str, params: Any, many: bool, context: Any
    ) -> object:
        if not sql.startswith(("BEGIN", "SAVEPOINT")):
            seen.append((sql, params))
        return execute(sql, params, many, context)

    with transaction.atomic():
        with connection.execute_wrapper(record):
            do()
        transaction.set_rollback(True)
    return seen[0]
