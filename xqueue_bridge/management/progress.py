"""Progress output of long commands: a line with the percent done, every few seconds."""

from __future__ import annotations

import time
from typing import Protocol

#: Seconds between two lines.
INTERVAL = 5.0


class Writer(Protocol):
    """A command's ``stderr``, whose ``write`` adds the end of the line."""

    def write(self, msg: str) -> object: ...


class Progress:
    """Report progress from 0 to ``total``, in steps of any size; ``quiet`` writes nothing."""

    def __init__(self, output: Writer, total: int, *, quiet: bool = False) -> None:
        self._output, self._total, self._quiet = output, max(total, 1), quiet
        self._written_at = time.monotonic()

    def update(self, position: int, note: str) -> None:
        """Move to ``position``; write it with ``note``, unless a line was written just before."""
        now = time.monotonic()
        if self._quiet or now - self._written_at < INTERVAL:
            return
        self._written_at = now
        self._output.write(f"{min(position / self._total, 1):.0%}: {note}")
