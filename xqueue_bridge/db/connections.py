"""Requests whose database connection was closed by the server between two requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

log = logging.getLogger(__name__)

Result = TypeVar("Result")


def retry_on_lost_connection(work: Callable[..., Result]) -> Callable[..., Result]:
    """Run ``work`` a second time, on a new connection, if a database connection was lost in it.

    ``work`` must be safe to repeat: the commit may have succeeded before the connection was lost.
    There is no retry inside a transaction of the caller, nor if the connections are usable.
    """

    @wraps(work)
    def repeated_once(*args: object, **kwargs: object) -> Result:
        before = {each.alias: each.connection for each in connections.all(initialized_only=True)}
        try:
            return work(*args, **kwargs)
        except (OperationalError, InterfaceError) as exc:
            if not _close_lost(before):
                raise
            log.warning("A database connection was lost (%s): repeating once", type(exc).__name__)
        return work(*args, **kwargs)

    return repeated_once


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
