"""The database's plans of a pull and of a position, beside many waiting and finished submissions.

    python -m benchmarks.explain --database mariadb

writes them into ``docs/concepts/performance/``, where a page includes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from benchmarks.command import argument_parser, set_up

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "concepts" / "performance"
BODY_BYTES = 16
_READS = ("Handler_icp_attempts", "Handler_read_key", "Handler_read_next")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=FOLDER, help="default: the page's folder")
    wanted = parser.parse_args()
    set_up(wanted.database)
    from benchmarks.database import a_database

    with a_database():
        text = "\n".join(report(wanted.rows))
    (wanted.output / f"plans-{wanted.database}.txt").write_text(text + "\n", encoding="utf-8")
    print(text)


def report(rows: int) -> Iterator[str]:
    """Make a queue with so many waiting and finished submissions, and yield the plans."""
    from benchmarks.side_by_side.stores.base import QUEUE
    from benchmarks.side_by_side.stores.ours import OurStore
    from xqueue_bridge.submission_queue import queue
    from xqueue_bridge.submission_queue.models import Submission
    from xqueue_bridge.submission_queue.stats import position_of

    store = OurStore()
    store.make_grader()
    store.backlog(rows, rows, BODY_BYTES)
    store.analyze()
    newest = Submission.objects.latest("pk")
    yield f"{store.server_version()}; {rows:,} waiting and {rows:,} finished submissions"
    for name, do in (
        ("The first statement of a pull", lambda: queue.pull(QUEUE, None)),
        ("The position of the newest submission", lambda: position_of(newest)),
    ):
        yield f"\n{name}:\n{plan(do)}"
        if getattr(connection, "mysql_is_mariadb", False):
            yield f"Rows and entries of indexes that were read: {entries_read(do)}"


def pull_plan(queue_name: str) -> str:
    """Return the plan of the first statement of a pull."""
    from xqueue_bridge.submission_queue import queue

    return plan(lambda: queue.pull(queue_name, None))


def plan(do: Callable[[], object]) -> str:
    """Return the plan of the first statement of ``do``, which is rolled back.

    On PostgreSQL with the numbers of rows and pages that were read; on MariaDB with ``r_rows``, the
    number of rows that were read, beside ``rows``, the estimate.
    """
    sql, params = first_statement(do)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"{_verb()} {sql}", params)
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description]
        transaction.set_rollback(True)
    if connection.vendor == "mysql":
        lines = [", ".join(f"{n}={v}" for n, v in zip(names, row, strict=True)) for row in rows]
        return "\n".join(lines)
    column = 3 if connection.vendor == "sqlite" else 0
    return "\n".join(str(row[column]) for row in rows)


def _verb() -> str:
    if getattr(connection, "mysql_is_mariadb", False):
        return "ANALYZE"
    return {
        "postgresql": "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF)",
        "mysql": "EXPLAIN",
        "sqlite": "EXPLAIN QUERY PLAN",
    }[connection.vendor]


def entries_read(do: Callable[[], object]) -> int:
    """Return how many rows and entries of indexes MariaDB reads for the first statement of ``do``.

    A plan does not count the entries that "index condition" passes over.
    """
    sql, params = first_statement(do)
    with connection.cursor() as cursor:
        cursor.execute("FLUSH STATUS")
        cursor.execute(sql, params)
        cursor.fetchall()
        cursor.execute("SHOW SESSION STATUS WHERE Variable_name IN (%s, %s, %s)", _READS)
        return sum(int(value) for _name, value in cursor.fetchall())


def first_statement(do: Callable[[], object]) -> tuple[str, Any]:
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


if __name__ == "__main__":
    main()
