"""Process overdue work; for hosts without Celery beat."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections

from xqueue_bridge.tasks import sweep


class Command(BaseCommand):
    help = "Deliver replies that wait, give up what was handed out too often, clean up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--forever", action="store_true", help="Go on until stopped.")
        parser.add_argument(
            "--interval", type=_seconds, default=2.0, help="Seconds between sweeps (default: 2)."
        )

    def handle(self, *args: Any, forever: bool, interval: float, **options: Any) -> None:
        stopped = threading.Event()
        if forever:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopped.set())
        while True:
            try:
                self._report(sweep())
            except ExceptionGroup as exc:
                if not forever:
                    raise
                self.stderr.write(exc.message)  # the next run may find the database available
            if not forever or stopped.wait(interval):
                return
            close_old_connections()

    def _report(self, done: dict[str, int]) -> None:
        if any(done.values()):
            self.stdout.write(", ".join(f"{count} {what}" for what, count in done.items() if count))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
