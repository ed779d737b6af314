"""SIGTERM and SIGINT for processes that run until they are stopped. Needs no Django.

A signal handler may interrupt any code, also code that holds a lock. So the handler here sets plain
attributes only: no Event, Lock, logging or print.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

#: Seconds from the first signal until SystemExit is raised in the main thread.
GRACE_SECONDS = 2.5
#: Seconds from the first signal until the process exits without clean-up, as by SIGKILL.
LIMIT_SECONDS = 3.5
#: Seconds after those until the system ends it (SIGALRM), whatever its threads are doing.
_LAST_SECONDS = 0.5
_STEP_SECONDS = 0.1

log = logging.getLogger(__name__)


class Stopped(KeyboardInterrupt):
    """Raised for a signal.

    A class of its own, because Python exits as killed by SIGINT after a KeyboardInterrupt itself
    that was raised in ``exec`` of a text, as dataclasses do, even if it was caught.
    """


class StopFlag:
    """Says whether to stop. ``received`` is the number of the signal, 0 before there is one."""

    received = 0

    def set(self, number: int = signal.SIGTERM) -> None:
        self.received = number

    def wait(self, seconds: float) -> bool:
        """Sleep for ``seconds``, or until the flag is set; return whether it is."""
        deadline = time.monotonic() + seconds
        while not self.received and (rest := deadline - time.monotonic()) > 0:
            time.sleep(min(rest, _STEP_SECONDS))
        return bool(self.received)


class StopSignals(StopFlag):
    """A StopFlag that signals set, and a limit to the time until the process ends.

    The first signal sets the flag; with ``interrupt``, it raises Stopped (a KeyboardInterrupt),
    too. Inside the block a second one, or GRACE_SECONDS, raise SystemExit in the main thread. If
    the process has not ended after LIMIT_SECONDS, because the main thread is in a C function or
    catches everything, or because Python waits for another thread when it ends, ``before_exit`` is
    called and the process exits. So it ends also if the block was left in time. Use it in the main
    thread.
    """

    def __init__(
        self,
        numbers: Sequence[int] = (signal.SIGTERM, signal.SIGINT),
        *,
        interrupt: bool = False,
        before_exit: Callable[[], object] = lambda: None,
    ) -> None:
        self._numbers = frozenset(numbers)
        self._interrupt = interrupt
        self._before_exit = before_exit
        self._is_deferred = False
        self._is_active = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._is_active = True
        self._main_thread = threading.get_ident()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        threading.Thread(target=self._watch, name="stop signals", daemon=True).start()
        # The C handler writes to the pipe at once, whatever the main thread is doing.
        self._former_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in self._numbers:
            self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_active = False
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_fd)
        os.close(self._writer)  # ends the thread
        if self.received:
            gc.freeze()  # else Python searches all memory for garbage when it ends

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Raise no Stopped inside the block, but after it."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        if self.received and self._interrupt:
            raise Stopped

    def _note(self, number: int, frame: FrameType | None) -> None:
        is_first, self.received = not self.received, self.received or number
        if self._is_deferred:
            return
        if not is_first:
            raise SystemExit(128 + number)
        if self._interrupt:
            raise Stopped

    def _watch(self) -> None:
        received = self._await_signal()
        if received:
            # Ends the process also while Python waits for the log, or removes its modules.
            signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS + _LAST_SECONDS)
            time.sleep(GRACE_SECONDS)
            if self._is_active:
                # A real signal, because that ends a blocking system call, too.
                signal.pthread_kill(self._main_thread, received)
            time.sleep(LIMIT_SECONDS - GRACE_SECONDS)
            try:
                self._before_exit()
                log.error("The process has not ended %s s after signal %d", LIMIT_SECONDS, received)
            finally:
                os._exit(128 + received)
        os.close(self._reader)

    def _await_signal(self) -> int:
        """Return the number of the first of our signals, 0 if the block ends before one."""
        while numbers := os.read(self._reader, 64):
            if ours := self._numbers.intersection(numbers):
                return min(ours)
        return 0
