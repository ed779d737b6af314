"""Fast INSERT of many rows, without the ORM's conversion of each value.

``bulk_create`` takes longer to prepare a row than a database to store it. The inserted rows hold
keys, times, and values that every driver accepts unchanged, so only these are prepared, by column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Field, Model
from django.db.models.constants import OnConflict
from opaque_keys.edx.django.models import OpaqueKeyField

from xqueue_bridge.lms.keys import stored_text

#: Maximum of values in one statement; all databases accept it, except old builds of SQLite.
_VALUES = 30_000
#: Characters in one statement: MariaDB refuses more than 16 MiB, and quoting may double them.
_CHARACTERS = 4_000_000


class Row(Protocol):
    """The attribute that every inserted object has besides those of the model's fields."""

    pk: Any


#: The values of one row, as the driver accepts them.
Values: TypeAlias = tuple[Any, ...]
#: Returns a field's value from a row.
Source: TypeAlias = Callable[[Any], object]
_SAME_NAMES: Mapping[str, Source] = MappingProxyType({})


def insert(
    model: type[Model],
    rows: Sequence[Row],
    *,
    overwrite: Sequence[str] = (),
    unique: Sequence[str] = ("id",),
    keep: bool = False,
    omit_pk: bool = False,
    sources: Mapping[str, Source] = _SAME_NAMES,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Insert rows, which are instances of ``model`` or objects with the same attributes.

    ``sources`` maps names of fields to functions that return their values from a row, for rows
    that do not have such an attribute. Either all rows have a ``pk`` or none has; ``omit_pk``:
    they have another table's, which is not inserted. If a row with the same ``unique`` fields
    exists, its ``overwrite`` fields are updated; with ``keep`` it stays unchanged. Without either,
    IntegrityError is raised, and new rows get their ids if the database returns them
    (MySQL does not). Sends no signals and applies no defaults.
    """
    if not rows:
        return
    connection = connections[using]
    is_new = omit_pk or rows[0].pk is None
    fields = [f for f in model._meta.concrete_fields if not (is_new and f.primary_key)]
    values = _values(rows, fields, sources, connection)
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
    """Return the INSERT, with ``%`` for the rows, and whether it returns ids."""
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
        # The same syntax on all databases; the name of Django's method differs between versions.
        return f"{sql} RETURNING {quote(meta.pk.column)}", True
    return sql, False


def _values(
    rows: Sequence[Row],
    fields: Sequence[Field],
    sources: Mapping[str, Source],
    connection: BaseDatabaseWrapper,
) -> list[Values]:
    columns = []
    for field in fields:
        prepare = _preparation(field, connection)
        source = sources.get(field.name) or attrgetter(field.attname)
        columns.append([prepare(source(row)) for row in rows])
    return list(zip(*columns, strict=True))


def _is_literal(value: object) -> bool:
    return value is None or type(value) is int


def _written(row: Values) -> str:
    """Return the SQL of a row; NULL is written out, because drivers handle placeholders slower."""
    words = ("NULL" if v is None else str(v) if type(v) is int else "%s" for v in row)
    return f"({', '.join(words)})"


def _preparation(field: Field, connection: BaseDatabaseWrapper) -> Source:
    """Return the function that converts a field's value for the driver."""
    if isinstance(field, OpaqueKeyField):
        return stored_text
    if isinstance(field, DateTimeField):
        return connection.ops.adapt_datetimefield_value
    return _as_it_is


def _as_it_is(value: object) -> object:
    return value


def _parts(
    values: Sequence[Values], columns: int, connection: BaseDatabaseWrapper
) -> Iterator[slice]:
    """Split the rows into statements, by number and by size."""
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
