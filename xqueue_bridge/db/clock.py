"""The time of the database, which is the one clock that all web hosts and sweepers share."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db import connection
from django.db.models import DateTimeField, Func, Value
from django.utils import timezone

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler, _AsSqlType

#: Seconds after which a process compares its clock with the database's again.
COMPARE_SECONDS = 60.0
_MICROSECOND = timedelta(microseconds=1)

#: When this process has compared the clocks, by its monotonic one, and what it has to add.
_compared: tuple[float, timedelta] | None = None


def process_now() -> datetime:
    """Return this process's time, which is the database's on SQLite."""
    return timezone.now()


def database_now() -> datetime:
    """Return the database's time, for values that processes of several hosts compare.

    It is this process's time and the difference of the two clocks, which one statement measures,
    at most once in COMPARE_SECONDS; none on SQLite.
    """
    global _compared
    if connection.vendor == "sqlite":
        return process_now()
    at = time.monotonic()
    if _compared is None or at - _compared[0] >= COMPARE_SECONDS:
        _compared = at, _read_clock() - process_now()
    return process_now() + _compared[1]


def _read_clock() -> datetime:
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {'CLOCK_TIMESTAMP()' if is_postgres else 'UTC_TIMESTAMP(6)'}")
        (read,) = cursor.fetchone()
    return read if read.tzinfo else read.replace(tzinfo=UTC)


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
