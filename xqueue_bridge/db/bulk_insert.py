"""Fast INSERT of many rows, without the ORM's conversion of each value.

``bulk_create`` takes longer to prepare a row than a database to store it. The inserted rows hold
keys, times, and values that every driver accepts unchanged, so only these are prepared, by column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TypeAlias

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


#: The values of one row, as the driver accepts them.
Values: TypeAlias = tuple[object, ...]
#: Returns a field's value from a row.
Source: TypeAlias = Callable[[Any], object]
_SAME_NAMES: Mapping[str, Source] = MappingProxyType({})


def insert(
    model: type[Model],
    rows: Sequence[Any],
    *,
    overwrite: Sequence[str] = (),
    unique: Sequence[str] = ("id",),
    keep: bool = False,
    omit_id: bool = False,
    sources: Mapping[str, Source] = _SAME_NAMES,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Insert rows, which are instances of ``model`` or objects with the same attributes.

    ``sources`` maps names of fields to functions that return their values from a row, for rows
    that do not have such an attribute. Either all rows have an ``id`` or none has; ``omit_id``:
    they have another table's, which is not inserted. If a row with the same ``unique`` fields
    exists, its ``overwrite`` fields are updated; with ``keep`` it stays unchanged. Without either,
    IntegrityError is raised, and new rows get their ids if the database returns them
    (MySQL does not). Sends no signals and applies no defaults.
    """
    if not rows:
        return
    connection = connections[using]
    is_new = omit_id or rows[0].id is None
    fields = tuple(f for f in model._meta.concrete_fields if not (is_new and f.primary_key))
    on_conflict = OnConflict.IGNORE if keep else OnConflict.UPDATE if overwrite else None
    returns_ids = on_conflict is None and connection.features.can_return_rows_from_bulk_insert
    sql = _statement(
        using, model, fields, on_conflict, tuple(overwrite), tuple(unique), returns_ids
    )
    values = _values(rows, fields, sources, connection)
    with connection.cursor() as cursor:
        parts = [slice(None)] if len(rows) == 1 else _parts(values, len(fields), connection)
        for part in parts:
            written, parameters = _written(values[part])
            cursor.execute(sql.replace("%", written), parameters)
            if returns_ids:
                for row, (id_,) in zip(rows[part], cursor.fetchall(), strict=True):
                    row.id = id_


@lru_cache(maxsize=64)
def _statement(
    using: str,
    model: type[Model],
    fields: tuple[Any, ...],
    on_conflict: OnConflict | None,
    overwrite: tuple[str, ...],
    unique: tuple[str, ...],
    returns_ids: bool,
) -> str:
    """Return the INSERT with ``%`` for the rows. The arguments are all that it depends on."""
    meta: Any = model._meta
    ops = connections[using].ops
    columns = ", ".join(ops.quote_name(field.column) for field in fields)
    verb = ops.insert_statement(on_conflict=on_conflict)
    sql = f"{verb} {ops.quote_name(meta.db_table)} ({columns}) VALUES %"
    if on_conflict:
        changed, same = ([meta.get_field(n).column for n in names] for names in (overwrite, unique))
        return f"{sql} {ops.on_conflict_suffix_sql(fields, on_conflict, changed, same)}"
    # The same syntax on all databases; the name of Django's method differs between versions.
    return f"{sql} RETURNING {ops.quote_name(meta.pk.column)}" if returns_ids else sql


def _values(
    rows: Sequence[Any],
    fields: Sequence[Field],
    sources: Mapping[str, Source],
    connection: BaseDatabaseWrapper,
) -> list[Values]:
    """Return the values of the rows, of which keys and times are converted for the driver."""
    columns: list[Iterable[object]] = []
    for field in fields:
        values = map(sources.get(field.name) or attrgetter(field.attname), rows)
        if isinstance(field, OpaqueKeyField):
            values = map(stored_text, values)
        elif isinstance(field, DateTimeField):
            values = map(connection.ops.adapt_datetimefield_value, values)
        columns.append(values)
    return list(zip(*columns, strict=True))


def _written(rows: Sequence[Values]) -> tuple[str, list[Any]]:
    """Return the SQL of rows, and its parameters.

    NULL and integers are written out, because drivers handle placeholders slower.
    """
    parameters: list[Any] = []
    written = []
    for row in rows:
        words = []
        for value in row:
            if value is None or type(value) is int:
                words.append("NULL" if value is None else str(value))
            else:
                words.append("%s")
                parameters.append(value)
        written.append(f"({', '.join(words)})")
    return ", ".join(written), parameters


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
