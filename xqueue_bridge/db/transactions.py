"""Work that is repeated after a deadlock, a serialisation failure or a lost connection."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import TypeVar

from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper

MAX_ATTEMPTS = 6
_FIRST_PAUSE = 0.01  # seconds; doubles with each attempt

_POSTGRES_STATES = {"40001", "40P01"}  # serialisation failure, deadlock
_MYSQL_CODES = {1020, 1205, 1213}  # record changed, lock wait timeout, deadlock

T = TypeVar("T")

log = logging.getLogger(__name__)


def in_transaction(
    work: Callable[[], T], using: str = DEFAULT_DB_ALIAS, *, is_one_statement: bool = False
) -> T:
    """Run ``work`` in one transaction of the database ``using`` and return its result.

    ``is_one_statement``: ``work`` executes one statement, which is a transaction without BEGIN and
    COMMIT.

    After a deadlock, a serialisation failure or a lock timeout ``work`` is run again, at most
    ``MAX_ATTEMPTS`` times in all; then the database's error is raised. Inside a transaction
    of the caller there is one attempt, because the database has rolled back the caller's part,
    too. Committed work is not run again, even if an on_commit function raises.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        with transaction.atomic(using=using):
            return work()
    committed: list[bool] = []
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            if is_one_statement:
                return work()
            with transaction.atomic(using=using):
                transaction.on_commit(partial(committed.append, True), using=using)
                return work()
        except OperationalError as exc:
            is_last = committed or attempt == MAX_ATTEMPTS
            if is_last or not _is_collision(exc, connection.vendor):
                raise
        time.sleep(random.uniform(0.5, 1) * _FIRST_PAUSE * 2**attempt)  # noqa: S311
    raise AssertionError("unreachable: the last attempt returns or raises")


def retry_on_lost_connection(work: Callable[..., T]) -> Callable[..., T]:
    """Run ``work`` a second time, on a new connection, if a database connection was lost in it.

    ``work`` must be safe to repeat: the commit may have succeeded before the connection was lost.
    There is no retry inside a transaction of the caller, nor if the connections are usable.
    """

    @wraps(work)
    def repeated_once(*args: object, **kwargs: object) -> T:
        before = {each.alias: each.connection for each in connections.all(initialized_only=True)}
        try:
            return work(*args, **kwargs)
        except (OperationalError, InterfaceError) as exc:
            if not _close_lost(before):
                raise
            log.warning("A database connection was lost (%s): repeating once", type(exc).__name__)
        return work(*args, **kwargs)

    return repeated_once


def after_commit(work: Callable[[], object]) -> None:
    """Call ``work`` after the commit; Django logs its exception, and the caller does not see it."""
    # A partial gets a name, because Django's log entry reads it.
    if isinstance(work, partial):
        work.__qualname__ = work.func.__qualname__  # type: ignore[attr-defined]
    transaction.on_commit(work, robust=True)


def locks_by_writing(using: str = DEFAULT_DB_ALIAS) -> bool:
    """Return whether only a write locks, as in SQLite, and it has to precede the reads.

    Not if each transaction begins with the lock: ``transaction_mode`` "IMMEDIATE" or "EXCLUSIVE".
    """
    connection = connections[using]
    return not connection.features.has_select_for_update and (
        getattr(connection, "transaction_mode", None) not in ("IMMEDIATE", "EXCLUSIVE")
    )


def in_callers_transaction() -> bool:
    """Return whether a transaction of the caller is open; that of a Django TestCase does not count.

    Django makes the same exception for ``atomic(durable=True)``.
    """
    blocks = connections[DEFAULT_DB_ALIAS].atomic_blocks
    return any(not getattr(block, "_from_testcase", False) for block in blocks)


def _is_collision(error: OperationalError, vendor: str) -> bool:
    if vendor == "sqlite":
        return "locked" in str(error)
    if vendor == "postgresql":
        # psycopg 3 uses another attribute name than psycopg 2.
        names = ("sqlstate", "pgcode")
        return any(getattr(error.__cause__, name, None) in _POSTGRES_STATES for name in names)
    return bool(error.args) and error.args[0] in _MYSQL_CODES


def _close_lost(before: Mapping[str, object]) -> bool:
    """Close this thread's connections that cannot be used; return whether any was lost.

    ``before``: the drivers' connections before the error. At the end of a failed transaction
    Django replaces a lost one by a new one.
    """
    opened = connections.all(initialized_only=True)
    lost = [each for each in opened if not each.in_atomic_block and _is_lost(each, before)]
    for connection in lost:
        if connection.connection is not None and not connection.is_usable():
            connection.close()
    return bool(lost)


def _is_lost(connection: BaseDatabaseWrapper, before: Mapping[str, object]) -> bool:
    former = before.get(connection.alias)
    was_replaced = former is not None and connection.connection is not former
    if connection.connection is None:
        return was_replaced or bool(connection.errors_occurred)
    return was_replaced or (bool(connection.errors_occurred) and not connection.is_usable())
