"""Progress output of long commands: tqdm's bar if it is installed, else a line at intervals."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from django.core.management.base import OutputWrapper

#: Seconds between two lines.
INTERVAL = 5.0


class ProgressBar:
    """Show progress from 0 to ``total``, in steps of any size; ``quiet`` prints nothing."""

    def __init__(self, output: OutputWrapper, total: int, *, quiet: bool = False) -> None:
        self._stream, self._total, self._quiet = _Plain(output), max(total, 1), quiet
        self._bar = None if quiet or not output.isatty() else _tqdm_bar(self._stream, self._total)
        self._said_at = time.monotonic()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def to(self, position: int, note: str) -> None:
        """Move to ``position``; ``note`` is the text that is shown beside the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(min(position, self._total) - self._bar.n)
        elif not self._quiet and time.monotonic() - self._said_at >= INTERVAL:
            self._said_at = time.monotonic()
            self._stream.write(f"{position / self._total:.0%}: {note}\n")


class _Plain:
    """A command's output without the colours and line ends that Django adds."""

    def __init__(self, output: OutputWrapper) -> None:
        self._output = output

    def write(self, text: str) -> None:
        self._output.write(text, style_func=str, ending="")

    def flush(self) -> None:
        self._output.flush()


def _tqdm_bar(stream: _Plain, total: int) -> Any:
    """Return tqdm's bar, or None if it is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    shape = "{percentage:3.0f}%|{bar}| {remaining} left{postfix}"
    return tqdm(file=stream, total=total, bar_format=shape)
