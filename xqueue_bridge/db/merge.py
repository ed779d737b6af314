"""Insert rows, or update or merge the rows that exist, with one statement of the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from django.db import connection
from django.db.models import Model

from xqueue_bridge.db.batches import chunks

#: Maximum rows in one statement; the parameters of a row are fewer than ten.
MAX_ROWS = 500


def upsert(rows: Sequence[Model], *, key: Sequence[str], fields: Sequence[str]) -> None:
    """Insert ``rows`` of one model; update ``fields`` of rows whose unique ``key`` exists."""
    if not rows:
        return
    # MySQL checks all unique keys and accepts no list of them.
    with_target = connection.features.supports_update_conflicts_with_target
    type(rows[0])._default_manager.bulk_create(
        rows,
        update_conflicts=True,
        update_fields=fields,
        unique_fields=key if with_target else None,
    )


class Merge:
    """SQL of a merge, by field name: ``old`` is the stored value, ``new`` the inserted one."""

    def __init__(self, model: type[Model]) -> None:
        self._meta: Any = model._meta
        self._is_mysql = connection.vendor == "mysql"

    def old(self, name: str) -> str:
        """Return the SQL of a stored value."""
        return f"{_quoted(self._meta.db_table)}.{self.column(name)}"

    def new(self, name: str) -> str:
        """Return the SQL of the value that the statement would insert."""
        column = self.column(name)
        return f"VALUES({column})" if self._is_mysql else f"EXCLUDED.{column}"

    def concat(self, first: str, second: str) -> str:
        """Return the SQL of two texts, one after the other."""
        return f"CONCAT({first}, {second})" if self._is_mysql else f"{first} || {second}"

    def column(self, name: str) -> str:
        """Return the quoted column of a field."""
        return _quoted(self._meta.get_field(name).column)


#: Returns the SQL of each field that a merge changes.
MergeFields: TypeAlias = Callable[[Merge], Mapping[str, str]]


def insert_or_merge(
    model: type[Model],
    rows: Sequence[Mapping[str, object]],
    *,
    key: Sequence[str],
    merge: MergeFields,
    returning: str,
) -> list[object]:
    """Insert ``rows``, which map the same fields to values; merge those whose ``key`` exists.

    No two rows have the same key. ``merge`` returns the SQL of each changed field; MySQL and
    MariaDB assign them in this order, and a later one sees the values that were assigned. Returns
    the values of one field after the statement, as the database driver has them, in the order of
    ``rows``. One statement for each ``MAX_ROWS`` rows; one more in MySQL, which cannot return rows.
    ``merge`` is called once in a process: its result depends on nothing but its argument.
    """
    if not rows:
        return []
    returns_rows = connection.features.can_return_rows_from_bulk_insert
    fields: list[Any] = [model._meta.get_field(name) for name in rows[0]]
    positions = [list(rows[0]).index(name) for name in key]
    stored = [[f.get_db_prep_save(row[f.name], connection) for f in fields] for row in rows]
    found: dict[tuple[object, ...], object] = {}
    for some in chunks(stored, MAX_ROWS):
        insert, select = _statements(
            model, tuple(rows[0]), len(some), tuple(key), merge, returning, returns_rows
        )
        with connection.cursor() as cursor:
            cursor.execute(insert, [value for row in some for value in row])
            if select:
                cursor.execute(select, [row[position] for row in some for position in positions])
            found.update((tuple(row[:-1]), row[-1]) for row in cursor.fetchall())
    return [found.get(tuple(row[position] for position in positions)) for row in stored]


@lru_cache(maxsize=64)
def _statements(
    model: type[Model],
    names: tuple[str, ...],
    count: int,
    key: tuple[str, ...],
    merge: MergeFields,
    returning: str,
    returns_rows: bool,
) -> tuple[str, str]:
    """Return the INSERT of ``count`` rows, and the SELECT of what it has stored.

    The SELECT is "" if the INSERT returns rows.
    """
    sql = Merge(model)
    columns, returned = (", ".join(map(sql.column, each)) for each in (names, [*key, returning]))
    values = ", ".join([f"({', '.join(['%s'] * len(names))})"] * count)
    assigned = ", ".join(f"{sql.column(name)} = {text}" for name, text in merge(sql).items())
    target = f"ON CONFLICT ({', '.join(map(sql.column, key))}) DO UPDATE SET"
    if connection.vendor == "mysql":
        target = "ON DUPLICATE KEY UPDATE"
    table = _quoted(model._meta.db_table)
    insert = f"INSERT INTO {table} ({columns}) VALUES {values} {target} {assigned}"  # noqa: S608
    if returns_rows:
        return f"{insert} RETURNING {returned}", ""
    same = " AND ".join(f"{sql.column(name)} = %s" for name in key)
    where = " OR ".join([f"({same})"] * count)
    return insert, f"SELECT {returned} FROM {table} WHERE {where}"  # noqa: S608


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
