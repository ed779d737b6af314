"""Statements that Django composes once in a process, which takes longer than executing them.

For statements of each request. A ``Parameter`` stands for a value that is not always the
same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.db import connection
from django.db.models import Expression, QuerySet
from django.db.models.sql import UpdateQuery

from xqueue_bridge.db.clock import DatabaseNow, process_now


class Parameter(Expression):
    """A value that an execution of a Prepared statement gives under this name.

    It is passed to the database driver as it is.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: object, connection: object, **context: object) -> Any:
        return "%s", [self]


class PreparedNow(DatabaseNow):
    """The time at which a Prepared statement is executed, plus an offset."""

    def as_sqlite(self, compiler: object, connection: object, **context: object) -> Any:
        return "%s", [self]


@dataclass(frozen=True)
class Prepared:
    """SQL and its parameters; ``select`` and ``update`` compose it for the default database."""

    sql: str
    parameters: tuple[Any, ...]

    @classmethod
    def select(cls, rows: QuerySet[Any, Any]) -> Self:
        """Compose the SELECT of a queryset."""
        sql, parameters = rows.query.sql_with_params()
        return cls(sql, tuple(parameters))

    @classmethod
    def update(cls, rows: QuerySet[Any, Any], **values: object) -> Self:
        """Compose the UPDATE that sets fields of a queryset's rows."""
        query = rows.query.chain(UpdateQuery)
        query.add_update_values(values)  # type: ignore[attr-defined]
        sql, parameters = query.get_compiler(connection=connection).as_sql()
        return cls(sql, tuple(parameters))

    def fetch(self, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows that the database driver returns."""
        with connection.cursor() as cursor:
            cursor.execute(self.sql, self._given(values))
            return cursor.fetchall()

    def change(self, **values: object) -> int:
        """Return how many rows the UPDATE has changed."""
        with connection.cursor() as cursor:
            cursor.execute(self.sql, self._given(values))
            return cursor.rowcount

    def _given(self, values: Mapping[str, object]) -> list[Any]:
        given: list[Any] = []
        now = process_now()  # once, as other databases read their clock
        for each in self.parameters:
            if isinstance(each, Parameter):
                given.append(values[each.name])
            elif isinstance(each, PreparedNow):
                given.append(connection.ops.adapt_datetimefield_value(now + each.offset))
            else:
                given.append(each)
        return given
