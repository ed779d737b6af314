"""Run a grader in one or several processes until SIGTERM, SIGINT or SIGHUP."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from xqueue_bridge.grader.client import QueueClient
from xqueue_bridge.grader.worker import Grade, Worker
from xqueue_bridge.worker.stop_signals import StopFlag, Stopped

log = logging.getLogger("xqueue_bridge.grader")

ON_ERROR = ("retry", "report")
#: Seconds before a process that ended is started again.
RESTART_SECONDS = 2.0
#: Seconds after SIGTERM after which a pull is ended, which a gateway may hold for longer.
PULL_SECONDS = 2.0
#: Seconds in which grade() that is ended may end its program and remove its files.
END_SECONDS = 1.0
_TICK = 0.2
#: SIGHUP: the terminal was closed.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class Config:
    """How a grader runs. ValueError names the field that is wrong.

    ``stop_seconds``: after SIGTERM, a process that is still grading is ended after this time, by a
    SystemExit in ``grade``; its lease ends by itself, and the submission is delivered again.
    """

    url: str
    queues: Sequence[str]
    name: str
    secret: str = field(repr=False)
    workers: int = 1
    poll_seconds: float = 1.0
    on_error: str = "retry"
    as_fraction: bool = False
    stop_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("url: must begin with http:// or https://")
        if isinstance(self.queues, str) or not self.queues:
            raise ValueError("queues: must be a list with at least one queue name")
        if not self.name or not self.secret:
            raise ValueError("name and secret: both are required")
        if self.workers < 1:
            raise ValueError("workers: must be 1 or more")
        if not self.poll_seconds > 0:
            raise ValueError("poll_seconds: must be above 0")
        if self.on_error not in ON_ERROR:
            raise ValueError(f"on_error: must be one of {', '.join(ON_ERROR)}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **more: Any) -> Config:
        """Read name and secret from XQUEUE_GRADER_NAME and XQUEUE_GRADER_SECRET(_FILE).

        A command line is readable by every user of the machine, so they are not read from there.
        The secret is removed from the process's environment, which children inherit.
        """
        given = os.environ if environment is None else environment
        secret = given.get("XQUEUE_GRADER_SECRET", "")
        if file := given.get("XQUEUE_GRADER_SECRET_FILE", ""):
            secret = secret or Path(file).read_text(encoding="utf-8").strip()
        if environment is None:
            os.environ.pop("XQUEUE_GRADER_SECRET", None)
        name = given.get("XQUEUE_GRADER_NAME", "")
        if not name or not secret:
            raise ValueError(
                "XQUEUE_GRADER_NAME, and XQUEUE_GRADER_SECRET or XQUEUE_GRADER_SECRET_FILE, "
                "must be set"
            )
        return cls(name=name, secret=secret, **more)


def run(grade: Grade, config: Config) -> int:
    """Grade until SIGTERM, SIGINT or SIGHUP; return the exit status.

    After a second signal SystemExit is raised, also in ``grade``. With several workers each is a
    process of its own, started again if it ends by itself.
    """
    if config.workers == 1:
        return _work(grade, config)
    return _Supervisor(grade, config).run()


def _work(grade: Grade, config: Config, parent_pid: int | None = None) -> int:
    worker = Worker(
        client=QueueClient(config.url, config.name, config.secret),
        queue_names=tuple(config.queues),
        grade=grade,
        poll_seconds=config.poll_seconds,
        on_error=config.on_error,
        as_fraction=config.as_fraction,
        parent_pid=parent_pid,
    )

    def stop(number: int, frame: object) -> None:
        if worker.stop.received:
            end(number, frame)  # asked a second time: do not wait for grade()
        worker.stop.set(number)
        signal.setitimer(signal.ITIMER_REAL, min(PULL_SECONDS, config.stop_seconds))

    def end_pull(number: int, frame: object) -> None:
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, max(config.stop_seconds - PULL_SECONDS, _TICK))
        if worker.is_pulling:
            raise Stopped

    def end(number: int, frame: object) -> None:
        # The exception, because the learner's program would go on without this process.
        for each in _STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
        signal.setitimer(signal.ITIMER_REAL, END_SECONDS)
        raise SystemExit(1)

    signal.signal(signal.SIGALRM, end_pull)
    _handle_stop_signals(stop)
    # A signal that came before is delivered now: see _start.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    with suppress(Stopped):
        return worker.run()
    return 0


def _child(grade: Grade, config: Config, parent_pid: int) -> None:
    raise SystemExit(_work(grade, config, parent_pid))


def _handle_stop_signals(handler: Callable[[int, object], None]) -> None:
    for number in _STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, handler)


class _Supervisor:
    """Starts the worker processes, restarts one that ends, and stops them all."""

    def __init__(self, grade: Grade, config: Config) -> None:
        self._grade, self._config = grade, config
        self._stop = StopFlag()
        # Forked, so that ``grade`` may be any function, also one of a script's own.
        self._fork = multiprocessing.get_context("fork")

    def run(self) -> int:
        children: list[BaseProcess] = []

        def stop(number: int, frame: object) -> None:
            if self._stop.received:
                for child in children:
                    child.terminate()
            self._stop.set(number)

        _handle_stop_signals(stop)
        children += [self._start() for _ in range(self._config.workers)]
        while not self._stop.wait(_TICK):
            for index, child in enumerate(children):
                if child.exitcode is None:
                    continue
                log.warning("a worker ended with %s and is started again", child.exitcode)
                if not self._stop.wait(RESTART_SECONDS):
                    children[index] = self._start()
        for child in children:
            child.terminate()
        deadline = time.monotonic() + self._config.stop_seconds + 2 * END_SECONDS
        for child in children:
            child.join(max(0.0, deadline - time.monotonic()))
            if child.exitcode is None:
                child.kill()
                child.join()
        return 0

    def _start(self) -> BaseProcess:
        child = self._fork.Process(
            target=_child, args=(self._grade, self._config, os.getpid()), daemon=True
        )
        # Until it has handlers of its own, a child would take a signal for its parent, and go on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            child.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return child
