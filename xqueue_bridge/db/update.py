"""UPDATE of few rows, and INSERT of one, without the ORM's compilation.

That takes longer than the database does. For statements of each request. The SQL depends on the
names of the columns and the number of values only, and is composed once in a process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

from django.db import connection
from django.db.models import Model

from xqueue_bridge.db.transactions import in_transaction

#: SQL and its parameters.
Statement: TypeAlias = tuple[str, list[Any]]


@dataclass(frozen=True)
class Update:
    """Sets fields where others have these values.

    ``among`` maps fields to the values of which they have one. None is no value to compare with.
    """

    model: type[Model]
    values: Mapping[str, object]
    where: Mapping[str, object]
    among: Mapping[str, Collection[object]]

    def execute(self) -> int:
        """Return the number of changed rows; one statement."""
        statement = self.statement()
        if statement is None:
            return 0
        with connection.cursor() as cursor:
            cursor.execute(*statement)
            return int(cursor.rowcount)

    def statement(self) -> Statement | None:
        """Return the UPDATE; None if no row can have one of no values."""
        if not all(self.among.values()):
            return None
        meta: Any = self.model._meta
        parameters = [
            meta.get_field(name).get_db_prep_save(value, connection)
            for name, value in self.values.items()
        ]
        pairs = [(name, [value]) for name, value in self.where.items()]
        pairs += [(name, list(some)) for name, some in self.among.items()]
        for name, some in pairs:
            field = meta.get_field(name)
            # Prepared, because MySQL's key fields refuse to prepare 0, which no row has.
            parameters += [
                field.get_db_prep_value(field.get_prep_value(value), connection, prepared=True)
                for value in some
            ]
        counts = tuple((name, len(some)) for name, some in pairs)
        return _update_sql(self.model, tuple(self.values), counts), parameters


def insert_row_if(update: Update, row: Model) -> int | None:
    """Update one row and insert another one; return its id. Do neither if no row matches.

    On PostgreSQL one statement, which needs no BEGIN and COMMIT; elsewhere four. Repeated after a
    deadlock.
    """
    statement = update.statement()
    if statement is None:
        return None
    if connection.vendor == "postgresql":
        return in_transaction(partial(insert_row, row, statement), is_one_statement=True)
    return in_transaction(lambda: insert_row(row) if update.execute() else None)


def insert_row(row: Model, update: Statement | None = None) -> int | None:
    """Insert a new row and return its id; one statement. Sends no signals.

    ``update``: an UPDATE that the statement begins with. No row is inserted, and None returned, if
    it matches none. Only PostgreSQL can select from an UPDATE.
    """
    fields, into, placeholders, returning = _insert_sql(type(row))
    parameters = [f.get_db_prep_save(getattr(row, f.attname), connection) for f in fields]
    sql = f"{into} VALUES ({placeholders}){returning}"
    if update is not None:
        changed = f"WITH changed AS ({update[0]} RETURNING 1)"
        sql = f"{changed} {into} SELECT {placeholders} FROM changed{returning}"  # noqa: S608
        parameters = [*update[1], *parameters]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        if not returning:
            return int(cursor.lastrowid)
        returned = cursor.fetchone()
        return int(returned[0]) if returned else None


@lru_cache(maxsize=128)
def _insert_sql(model: type[Model]) -> tuple[list[Any], str, str, str]:
    """Return the fields, INSERT INTO ... (...), the placeholders, and RETURNING if it is known."""
    meta: Any = model._meta
    quote = connection.ops.quote_name
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    columns = ", ".join(quote(field.column) for field in fields)
    returns_id = connection.features.can_return_columns_from_insert  # MySQL does not
    returning = f" RETURNING {quote(meta.pk.column)}" if returns_id else ""
    into = f"INSERT INTO {quote(meta.db_table)} ({columns})"
    return fields, into, ", ".join(["%s"] * len(fields)), returning


@lru_cache(maxsize=128)
def _update_sql(
    model: type[Model], names: tuple[str, ...], compared: tuple[tuple[str, int], ...]
) -> str:
    meta: Any = model._meta
    quote = connection.ops.quote_name
    columns = {field.name: quote(field.column) for field in meta.concrete_fields}
    assigned = ", ".join(f"{columns[name]} = %s" for name in names)
    conditions = " AND ".join(
        f"{columns[name]} IN ({', '.join(['%s'] * count)})" for name, count in compared
    )
    return f"UPDATE {quote(meta.db_table)} SET {assigned} WHERE {conditions}"  # noqa: S608
