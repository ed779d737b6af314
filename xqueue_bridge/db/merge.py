"""Insert rows, or merge them into the rows that exist, with one statement of the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import Model

from xqueue_bridge.db.batches import chunks

#: Maximum rows in one statement; the parameters of a row are fewer than ten.
MAX_ROWS = 500


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


def insert_or_merge(
    model: type[Model],
    rows: Sequence[Mapping[str, object]],
    *,
    key: Sequence[str],
    merge: Callable[[Merge], Mapping[str, str]],
    returning: str,
) -> list[Any]:
    """Insert ``rows``, which map the same fields to values; merge those whose ``key`` exists.

    No two rows have the same key. ``merge`` returns the SQL of each changed field; MySQL and
    MariaDB assign them in this order, and a later one sees the values that were assigned. Returns
    the values of one field after the statement, as the database driver has them, in the order of
    ``rows``. One statement for each ``MAX_ROWS`` rows; one more in MySQL, which cannot return rows.
    """
    found: list[Any] = []
    for chunk in chunks(rows, MAX_ROWS):
        found += _merge_some(model, chunk, key, merge, returning)
    return found


def _merge_some(
    model: type[Model],
    rows: Sequence[Mapping[str, object]],
    key: Sequence[str],
    merge: Callable[[Merge], Mapping[str, str]],
    returning: str,
) -> list[Any]:
    meta: Any = model._meta
    sql, fields = Merge(model), [meta.get_field(name) for name in rows[0]]
    columns = ", ".join(_quoted(field.column) for field in fields)
    values = ", ".join([f"({', '.join(['%s'] * len(fields))})"] * len(rows))
    assigned = ", ".join(f"{sql.column(name)} = {text}" for name, text in merge(sql).items())
    target = f"ON CONFLICT ({', '.join(map(sql.column, key))}) DO UPDATE SET"
    if connection.vendor == "mysql":
        target = "ON DUPLICATE KEY UPDATE"
    statement = (
        f"INSERT INTO {_quoted(meta.db_table)} ({columns}) VALUES {values} "  # noqa: S608
        f"{target} {assigned}"
    )
    parameters = [
        field.get_db_prep_save(row[name], connection)
        for row in rows
        for name, field in zip(row, fields, strict=True)
    ]
    names = [*key, returning]
    returned = ", ".join(map(sql.column, names))
    with connection.cursor() as cursor:
        if connection.features.can_return_rows_from_bulk_insert:
            cursor.execute(f"{statement} RETURNING {returned}", parameters)
        else:
            cursor.execute(statement, parameters)
            same = " AND ".join(f"{sql.column(name)} = %s" for name in key)
            where = " OR ".join([f"({same})"] * len(rows))
            table = _quoted(meta.db_table)
            keys = [value for row in rows for value in _stored(model, row, key)]
            cursor.execute(f"SELECT {returned} FROM {table} WHERE {where}", keys)  # noqa: S608
        by_key = {tuple(row[:-1]): row[-1] for row in cursor.fetchall()}
    return [by_key.get(_stored(model, row, key)) for row in rows]


def _stored(model: type[Model], row: Mapping[str, object], names: Sequence[str]) -> tuple[Any, ...]:
    meta: Any = model._meta
    fields = (meta.get_field(name) for name in names)
    return tuple(f.get_db_prep_save(row[f.name], connection) for f in fields)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
