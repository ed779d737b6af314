"""History batches: the writes of a StudentModule in a batch leave one entry, the last."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class HistoryBatch:
    """One history batch: the number that its entries carry, and the rows it has written."""

    def __init__(self) -> None:
        self.number = random.getrandbits(63)  # distinguishes batches; no security purpose
        self.is_open = True
        self._written: set[int | None] = set()

    def again(self, student_module_ids: Iterable[int | None]) -> set[int | None]:
        """Return the rows that this batch has written before; remember all of them."""
        given = set(student_module_ids)
        known = given & self._written
        self._written |= given
        return known


_current: ContextVar[HistoryBatch | None] = ContextVar("xqueue_bridge_history_batch", default=None)


def current_batch() -> HistoryBatch | None:
    """Return the history batch that this code runs in, or None."""
    batch = _current.get()
    # A task that was started in a batch has a copy of its context, and may outlive the batch.
    return batch if batch and batch.is_open else None


@contextmanager
def history_batch() -> Iterator[None]:
    """Keep only the last history entry of each StudentModule that is written in the context.

    The entry holds the final state and score. A nested batch is part of the outer one; a new
    thread is in no batch. Each entry is written together with its row and not at the end, so an
    exception or a killed process loses no entry.
    """
    if current_batch():
        yield
        return
    batch = HistoryBatch()
    token = _current.set(batch)
    try:
        yield
    finally:
        batch.is_open = False
        _current.reset(token)
