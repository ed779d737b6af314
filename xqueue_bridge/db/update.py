"""UPDATE of few rows without the ORM's compilation, which takes longer than the database does.

For statements of each request. The SQL depends on the names of the columns and the number of
values only, and is composed once in a process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Model


def update(
    model: type[Model],
    values: Mapping[str, object],
    *,
    where: Mapping[str, object],
    among: Mapping[str, Collection[object]],
) -> int:
    """Set fields where others have these values; return the number of rows.

    ``among`` maps fields to the values of which they have one. None is no value to compare with.
    """
    meta: Any = model._meta
    if not all(among.values()):
        return 0
    sets = [meta.get_field(each).get_db_prep_save(values[each], connection) for each in values]
    pairs = [(name, [value]) for name, value in where.items()]
    pairs += [(name, list(some)) for name, some in among.items()]
    compared = [_compared(meta.get_field(name), value) for name, some in pairs for value in some]
    sql = _statement(model, tuple(values), tuple((name, len(some)) for name, some in pairs))
    with connection.cursor() as cursor:
        cursor.execute(sql, [*sets, *compared])
        return int(cursor.rowcount)


def _compared(field: Any, value: object) -> Any:
    # Prepared, because MySQL's key fields refuse to prepare 0, which no row has.
    return field.get_db_prep_value(field.get_prep_value(value), connection, prepared=True)


@lru_cache(maxsize=128)
def _statement(
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
