"""Read one learner's rows with raw SQL, because the ORM takes longer than the database.

It avoids compiling a query for each call and creating an object for each key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import DateTimeField, QuerySet

from xqueue_bridge.learner_state.block_keys import BlockKey
from xqueue_bridge.learner_state.models import StudentModule


def read_rows(
    learner: int | QuerySet[Any],
    keys: Collection[BlockKey],
    names: Sequence[str],
    *,
    lock: bool = False,
) -> list[tuple[Any, ...]]:
    """Return the learner's rows at ``keys``: the texts of context and usage key, then fields.

    ``learner`` is an id or a query for it. Deprecated keys are the same in all runs of a course,
    so rows of other contexts may be returned. One statement, in the order of ids; ``lock`` locks
    the rows until the transaction ends.
    """
    meta, quote = StudentModule._meta, connection.ops.quote_name
    fields: list[Any] = [meta.get_field(name) for name in ("course_id", "module_state_key", *names)]
    columns = ", ".join(quote(field.column) for field in fields)
    of_learner, parameters = _learner(learner)
    sql = (
        f"SELECT {columns} FROM {quote(meta.db_table)} "  # noqa: S608
        f"WHERE {quote('student_id')} = {of_learner} AND {quote('module_id')} IN "
        f"({', '.join(['%s'] * len(keys))}) ORDER BY {quote('id')}"
    )
    if lock and connection.features.has_select_for_update:
        if not connection.in_atomic_block:
            raise transaction.TransactionManagementError("rows are locked in a transaction")
        sql = f"{sql} {connection.ops.for_update_sql()}"
    with connection.cursor() as cursor:
        cursor.execute(sql, [*parameters, *(key.usage for key in keys)])
        found = cursor.fetchall()
    return _converted(found, fields)


def _learner(learner: int | QuerySet[Any]) -> tuple[str, Sequence[Any]]:
    if not isinstance(learner, QuerySet):
        return "%s", [learner]
    sql, parameters = learner.query.sql_with_params()
    return f"({sql})", parameters


def _converted(rows: list[tuple[Any, ...]], fields: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Convert the driver's times if they differ from Django's; keep all other values."""
    conversions: dict[int, list[Callable[..., Any]]] = {}
    for position, field in enumerate(fields):
        if isinstance(field, DateTimeField):
            column: Any = field.cached_col
            if found := connection.ops.get_db_converters(column):
                conversions[position] = [_bound(convert, column) for convert in found]
    if not conversions:
        return rows
    converted = []
    for row in rows:
        values = list(row)
        for position, steps in conversions.items():
            for convert in steps:
                values[position] = convert(values[position])
        converted.append(tuple(values))
    return converted


def _bound(convert: Callable[..., Any], column: Any) -> Callable[[Any], Any]:
    return lambda value: convert(value, column, connection)
