"""Many rows in one INSERT, without what the ORM does to each of their values.

``bulk_create`` takes longer to prepare a row than a database to store it. Our rows hold keys,
times, and values that every driver takes as they are: this prepares just that, column by column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Field, Model
from django.db.models.constants import OnConflict
from opaque_keys.edx.django.models import OpaqueKeyField

from xqueue_bridge.lms.keys import stored_text

#: Values in one statement; no database takes fewer, but for old builds of SQLite.
_VALUES = 30_000
#: Characters in one statement: MariaDB refuses more than 16 MiB, quoting them may double them.
_CHARACTERS = 4_000_000


def insert(
    model: type[Model],
    rows: Sequence[Any],
    *,
    overwrite: Sequence[str] = (),
    unique: Sequence[str] = ("id",),
    keep: bool = False,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Insert rows: instances of ``model``, or whatever else has its attributes.

    All of them have a ``pk``, or none. A row that is there already, by its ``unique`` fields, has
    those named in ``overwrite`` written over, or with ``keep`` stays as it is. Without either it
    raises IntegrityError, and new rows are given their ids, unless the database does not say them
    (MySQL). No signals, no defaults.
    """
    if not rows:
        return
    connection = connections[using]
    is_new = rows[0].pk is None
    fields = [f for f in model._meta.concrete_fields if not (is_new and f.primary_key)]
    values = _values(rows, fields, connection)
    sql, says_ids = _statement(connection, model._meta, fields, overwrite, unique, keep)
    with connection.cursor() as cursor:
        for part in _parts(values, len(fields), connection):
            some = values[part]
            parameters = [value for row in some for value in row if not _is_literal(value)]
            cursor.execute(sql.replace("%", ", ".join(map(_written, some))), parameters)
            if says_ids:
                for row, (pk,) in zip(rows[part], cursor.fetchall(), strict=True):
                    row.pk = pk


def _statement(
    connection: BaseDatabaseWrapper,
    meta: Any,
    fields: Sequence[Any],
    overwrite: Sequence[str],
    unique: Sequence[str],
    keep: bool,
) -> tuple[str, bool]:
    """Return the INSERT, with ``%`` where the rows belong, and whether it returns ids."""
    quote, column = connection.ops.quote_name, lambda name: meta.get_field(name).column
    columns = ", ".join(quote(field.column) for field in fields)
    on_conflict = OnConflict.IGNORE if keep else OnConflict.UPDATE if overwrite else None
    verb = connection.ops.insert_statement(on_conflict=on_conflict)
    sql = f"{verb} {quote(meta.db_table)} ({columns}) VALUES %"
    if on_conflict:
        suffix = connection.ops.on_conflict_suffix_sql(
            fields, on_conflict, map(column, overwrite), map(column, unique)
        )
        return f"{sql} {suffix}", False
    if connection.features.can_return_rows_from_bulk_insert:
        # Said alike by all who can; Django's own name for it changes with its versions.
        return f"{sql} RETURNING {quote(meta.pk.column)}", True
    return sql, False


def _values(
    rows: Sequence[Any], fields: Sequence[Any], connection: BaseDatabaseWrapper
) -> list[tuple[Any, ...]]:
    columns = []
    for field in fields:
        prepare = _preparation(field, connection)
        columns.append([prepare(getattr(row, field.attname)) for row in rows])
    return list(zip(*columns, strict=True))


def _is_literal(value: Any) -> bool:
    return value is None or type(value) is int


def _written(row: tuple[Any, ...]) -> str:
    """Return a row as the statement has it: drivers take longer over a placeholder than NULL."""
    words = ("NULL" if v is None else str(v) if type(v) is int else "%s" for v in row)
    return f"({', '.join(words)})"


def _preparation(field: Field, connection: BaseDatabaseWrapper) -> Callable[[Any], Any]:
    """Return what turns a field's value into one that the driver takes."""
    if isinstance(field, OpaqueKeyField):
        return stored_text
    if isinstance(field, DateTimeField):
        return connection.ops.adapt_datetimefield_value
    return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _parts(
    values: Sequence[tuple[Any, ...]], columns: int, connection: BaseDatabaseWrapper
) -> Iterator[slice]:
    """Cut the rows into what one statement can take, by number and by size."""
    most = _VALUES
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        most = min(most, connection.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER))
    start, size = 0, 0
    for number, row in enumerate(values):
        length = sum(len(value) for value in row if isinstance(value, str))
        if number > start and (
            size + length > _CHARACTERS or (number - start + 1) * columns > most
        ):
            yield slice(start, number)
            start, size = number, 0
        size += length
    yield slice(start, len(values))
