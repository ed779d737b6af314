"""The time of the database, which is the one clock that all web hosts and sweepers share."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db.models import DateTimeField, Func, Value
from django.utils import timezone

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler, _AsSqlType

_MICROSECOND = timedelta(microseconds=1)


def process_now() -> datetime:
    """Return this process's time, which is the database's on SQLite."""
    return timezone.now()


class DatabaseNow(Func):
    """Expression of the database's time when the statement began, plus an offset.

    Unlike Django's ``Now``, it is UTC on MySQL and MariaDB, whatever the server's time zone is.
    SQLite runs in this process, so its time is this process's time when the object was made.
    """

    output_field = DateTimeField()

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        super().__init__()
        self.offset = offset
        self._here = process_now()

    def plus(self, offset: timedelta) -> Self:
        """Return the same time plus an offset."""
        later = type(self)(self.offset + offset)
        later._here = self._here
        return later

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: object
    ) -> _AsSqlType:
        value = Value(self._here + self.offset, output_field=DateTimeField())
        return value.as_sql(compiler, connection)

    def as_postgresql(self, compiler: object, connection: object, **context: object) -> object:
        return f"(STATEMENT_TIMESTAMP() + INTERVAL '{self._microseconds} microseconds')", []

    def as_mysql(self, compiler: object, connection: object, **context: object) -> object:
        return f"(UTC_TIMESTAMP(6) + INTERVAL {self._microseconds} MICROSECOND)", []

    @property
    def _microseconds(self) -> int:
        return self.offset // _MICROSECOND
