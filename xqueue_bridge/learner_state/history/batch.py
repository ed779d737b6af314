"""The collapse scope: within it, a StudentModule's writes leave one entry, that of the last."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Scope:
    """One collapse scope: its number, which its entries carry, and what it has written."""

    def __init__(self) -> None:
        self.number = random.getrandbits(63)  # tells scopes apart, guards nothing
        self.is_open = True
        self._written: set[int] = set()

    def again(self, student_module_ids: Iterable[int]) -> set[int]:
        """Return those that were written in this scope before; remember all of them."""
        asked = set(student_module_ids)
        known = asked & self._written
        self._written |= asked
        return known


_current: ContextVar[Scope | None] = ContextVar("xqueue_bridge_history_scope", default=None)


def current_scope() -> Scope | None:
    """Return the scope that this code runs in, or None."""
    scope = _current.get()
    # A task that was started in a scope has a copy of its context, and may outlive it.
    return scope if scope and scope.is_open else None


@contextmanager
def history_batch() -> Iterator[None]:
    """Collapse: of each StudentModule that is written inside, only the last entry stays.

    It holds the final state and score. A scope inside a scope is part of the outer one; a thread
    begins outside of every scope. Entries are written with the rows that they describe, and not
    at the end: an exception, or the end of the process, takes nothing with it.
    """
    if current_scope():
        yield
        return
    scope = Scope()
    token = _current.set(scope)
    try:
        yield
    finally:
        scope.is_open = False
        _current.reset(token)
