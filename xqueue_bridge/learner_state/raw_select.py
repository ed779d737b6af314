"""Read StudentModule rows with raw SQL, because the ORM takes longer than the database.

It avoids compiling a query for each call and creating an object for each key. Deprecated keys are
stored alike in all runs of a course, so rows of other contexts may be returned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.models import DateTimeField, Field, Model, QuerySet

from xqueue_bridge.learner_state.block_keys import BlockKey
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.row import RowKey

Values: TypeAlias = list[tuple[Any, ...]]


def read_rows(
    learner: int | QuerySet[Model, int], blocks: Collection[BlockKey], names: Sequence[str]
) -> Values:
    """Return one learner's rows: the texts of context and usage key, then the named fields.

    ``learner`` is an id or a query for it. One statement, in the order of ids.
    """
    of_learner, parameters = _learner(learner)
    condition = f"student_id = {of_learner} AND module_id IN ({', '.join(['%s'] * len(blocks))})"
    usages = [block.usage for block in blocks]
    return _select(("course_id", "module_state_key", *names), condition, [*parameters, *usages])


def lock_rows(keys: Iterable[RowKey], names: Sequence[str]) -> Values:
    """Lock and return rows: user id, texts of context and usage key, then the named fields.

    One statement for any number of learners, in the order of ids; call it in a transaction, whose
    end releases the locks. Databases without row locks only read.
    """
    usages: dict[int, list[str]] = defaultdict(list)
    for key in keys:
        usages[key.user_id].append(key.block.usage)
    # For each learner a condition that the unique index serves on every database; a list of pairs
    # would not be one on MariaDB.
    conditions, parameters = [], []
    for user_id, of_learner in usages.items():
        among = ", ".join(["%s"] * len(of_learner))
        conditions.append(f"(student_id = %s AND module_id IN ({among}))")
        parameters += [user_id, *of_learner]
    columns = ("student_id", "course_id", "module_state_key", *names)
    return _select(columns, " OR ".join(conditions), parameters, lock=True)


def _select(
    names: Sequence[str], condition: str, parameters: Sequence[Any], *, lock: bool = False
) -> Values:
    fields: list[Any] = [StudentModule._meta.get_field(name) for name in names]
    # The names of these columns need no quotes on any database.
    columns = ", ".join(field.column for field in fields)
    table = StudentModule._meta.db_table
    sql = f"SELECT {columns} FROM {table} WHERE {condition} ORDER BY id"  # noqa: S608
    database = connections[DEFAULT_DB_ALIAS]
    if lock and database.features.has_select_for_update:
        if not database.in_atomic_block:
            raise transaction.TransactionManagementError("rows are locked in a transaction")
        sql = f"{sql} {database.ops.for_update_sql()}"
    with database.cursor() as cursor:
        cursor.execute(sql, parameters)
        found = cursor.fetchall()
    return _converted(found, fields)


def _learner(learner: int | QuerySet[Model, int]) -> tuple[str, Sequence[Any]]:
    if not isinstance(learner, QuerySet):
        return "%s", [learner]
    sql, parameters = learner.query.sql_with_params()
    return f"({sql})", parameters


def _converted(rows: Values, fields: Sequence[Field]) -> Values:
    """Convert the driver's times if they differ from Django's; keep all other values."""
    conversions: list[tuple[int, Any, list[Any]]] = []
    for position, field in enumerate(fields):
        if isinstance(field, DateTimeField):
            column: Any = field.cached_col
            if converters := connection.ops.get_db_converters(column):
                conversions.append((position, column, converters))
    if not conversions:
        return rows
    converted = []
    for row in rows:
        values = list(row)
        for position, column, converters in conversions:
            for convert in converters:
                values[position] = convert(values[position], column, connection)
        converted.append(tuple(values))
    return converted
