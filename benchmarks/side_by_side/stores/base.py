"""What the stores have in common: the database, copies of rows, and random numbers of a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.color import no_style
from django.db import connection

QUEUE = "benchmark"
GRADER = "benchmark-grader"
SECRET = "benchmark-secret"  # noqa: S105 (of a database that lives for one run)
COURSE = "course-v1:DemoX+CS101+2026"
#: Rows that one INSERT ... SELECT copies.
COPIES = 100_000


class Store:
    """The database of one system. The methods are the commands of ``control.py``."""

    #: Tables that ``clear`` empties.
    tables: tuple[str, ...] = ()

    def create(self) -> dict[str, str]:
        """Create the database and the grader's account; return its name and secret."""
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        return self.make_grader()

    def make_grader(self) -> dict[str, str]:
        from django.contrib.auth.models import Group, User

        user = User.objects.create_user(GRADER, password=SECRET)
        user.groups.add(Group.objects.create(name="xqueue"))
        return {"username": GRADER, "password": SECRET}

    def drop(self) -> None:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)

    def clear(self) -> None:
        """Delete all submissions."""
        # With the sequences, MariaDB truncates the tables. It would remove deleted rows from its
        # indexes in the background, during the next measurement.
        statements = connection.ops.sql_flush(
            no_style(), self.tables, reset_sequences=True, allow_cascade=True
        )
        connection.ops.execute_sql_flush(statements)

    def analyze(self) -> None:
        """Let the database read the statistics of its tables."""
        with connection.cursor() as cursor:
            for table in self.tables:
                prefix = "ANALYZE TABLE" if connection.vendor == "mysql" else "ANALYZE"
                cursor.execute(f"{prefix} {connection.ops.quote_name(table)}")
                if connection.vendor == "mysql":
                    cursor.fetchall()
            if connection.vendor == "postgresql":
                cursor.execute("CHECKPOINT")

    def server_process(self) -> tuple[str, int] | None:
        """Return a process or thread of the database server that serves this connection."""
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT pg_backend_pid()")
                return "process", cursor.fetchone()[0]
            if connection.vendor == "mysql":
                cursor.execute(
                    "SELECT TID FROM information_schema.processlist WHERE ID = CONNECTION_ID()"
                )
                return "thread", cursor.fetchone()[0]
        return None

    def server_version(self) -> str:
        with connection.cursor() as cursor:
            is_sqlite = connection.vendor == "sqlite"
            cursor.execute(f"SELECT {'sqlite_version()' if is_sqlite else 'version()'}")
            return str(cursor.fetchone()[0])


def copy_rows(
    table: str, first: int, last: int, wanted: int, expressions: Mapping[str, str]
) -> None:
    """Copy the rows with ids from ``first`` to ``last`` until there are ``wanted`` copies.

    ``expressions`` has the SQL of each column that differs; ``{by}`` is the distance to the id of
    the row that is copied. The other columns are copied.
    """
    with connection.cursor() as cursor:
        description = connection.introspection.get_table_description(cursor, table)
        columns = [column.name for column in description]
    size, made = last - first + 1, 0
    while made < wanted:
        # Copies are copied as well, so that few statements suffice.
        some = min(size + made, wanted - made, COPIES)
        _copy(table, columns, first, some, size + made, expressions)
        made += some
    _set_sequence(table)


def _copy(
    table: str,
    columns: Sequence[str],
    first: int,
    number: int,
    by: int,
    expressions: Mapping[str, str],
) -> None:
    quote = connection.ops.quote_name
    names = ", ".join(quote(column) for column in columns)
    values = {"id": "id + {by}", **expressions}
    selected = ", ".join(values.get(column, quote(column)).format(by=by) for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(table)} ({names}) SELECT {selected} FROM {quote(table)} "  # noqa: S608
            f"WHERE id >= {first} AND id < {first + number} ORDER BY id"
        )


def _set_sequence(table: str) -> None:
    if connection.vendor == "postgresql":  # the other databases continue at the greatest id
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"  # noqa: S608
            )


def greatest_id(model: Any) -> int:
    return model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
