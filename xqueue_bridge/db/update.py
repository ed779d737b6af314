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

# An UPDATE and an INSERT together. The parts are the UPDATE, INSERT INTO ... (...), the
# placeholders, and RETURNING.
#: PostgreSQL can select from an UPDATE.
_POSTGRESQL = "WITH changed AS ({0} RETURNING 1) {1} SELECT {2} FROM changed{3}"
#: MariaDB cannot, but takes a transaction as one block. As statements they are five round trips,
#: because Django switches autocommit off and on around it.
_MARIADB = """BEGIN NOT ATOMIC
    DECLARE number_changed INT;
    DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
    START TRANSACTION;
    {0};
    SET number_changed = ROW_COUNT();
    IF number_changed > 0 THEN {1} VALUES ({2}); END IF;
    COMMIT;
    SELECT IF(number_changed > 0, LAST_INSERT_ID(), NULL);
END"""


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
        parameters = [_prepared(meta.get_field(n), value) for n, value in self.values.items()]
        pairs = [(name, [value]) for name, value in self.where.items()]
        pairs += [(name, list(some)) for name, some in self.among.items()]
        for name, some in pairs:
            parameters += [_prepared(meta.get_field(name), value) for value in some]
        counts = tuple((name, len(some)) for name, some in pairs)
        return _update_sql(self.model, tuple(self.values), counts), parameters


def insert_row_if(update: Update, row: Model) -> int | None:
    """Update one row and insert another one; return its id. Do neither if no row matches.

    On PostgreSQL and MariaDB one statement; elsewhere four, BEGIN and COMMIT among them. Repeated
    after a deadlock.
    """
    statement = update.statement()
    if statement is None:
        return None
    write = partial(insert_row, row, statement)
    return in_transaction(write, is_one_statement=bool(one_statement()))


def insert_row(row: Model, update: Statement | None = None) -> int | None:
    """Insert a new row and return its id; one statement. Sends no signals.

    ``update`` is executed before, or in the same statement. No row is inserted, and None returned,
    if it matches none.
    """
    fields, into, placeholders, returning = _insert_sql(type(row))
    parameters = [_prepared(field, getattr(row, field.attname)) for field in fields]
    sql = f"{into} VALUES ({placeholders}){returning}"
    together = one_statement() if update is not None else ""
    with connection.cursor() as cursor:
        if update is not None and together:
            sql = together.format(update[0], into, placeholders, returning)
            parameters = [*update[1], *parameters]
        elif update is not None:
            cursor.execute(*update)
            if not cursor.rowcount:
                return None
        cursor.execute(sql, parameters)
        returned = cursor.fetchone() if returning or together else (cursor.lastrowid,)
    return returned[0] if returned else None


def _prepared(field: Any, value: object) -> Any:
    # In two steps, because MySQL's key fields refuse to prepare 0, which no row has.
    return field.get_db_prep_value(field.get_prep_value(value), connection, prepared=True)


def one_statement() -> str:
    """Return the form in which the database writes both with one statement; "" if with two.

    MariaDB's block begins a transaction, which would commit one of the caller.
    """
    if connection.vendor == "postgresql":
        return _POSTGRESQL
    is_mariadb = getattr(connection, "mysql_is_mariadb", False)
    return _MARIADB if is_mariadb and connection.get_autocommit() else ""


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
