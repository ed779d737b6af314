"""Process overdue work; for hosts without Celery beat."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections

from xqueue_bridge.lms.request_cache import clear_request_cache
from xqueue_bridge.management.arguments import positive_number
from xqueue_bridge.tasks import sweep
from xqueue_bridge.worker.stop_signals import StopSignals


class Command(BaseCommand):
    help = "Process one batch of each kind of overdue work; with --forever, repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forever",
            action="store_true",
            help="Repeat until SIGTERM or SIGINT, which end it within five seconds.",
        )
        parser.add_argument(
            "--interval",
            type=positive_number,
            default=2.0,
            help="Seconds between sweeps (default: 2).",
        )

    def handle(self, *args: object, forever: bool, interval: float, **options: object) -> None:
        if not forever:
            self._report(sweep())
            return
        with StopSignals() as stop:
            while not stop.received:
                try:
                    self._report(sweep())
                except ExceptionGroup as exc:
                    self.stderr.write(exc.message)  # the next run may find the database available
                stop.wait(interval)
                close_old_connections()
                clear_request_cache()

    def _report(self, done: dict[str, int]) -> None:
        if any(done.values()):
            self.stdout.write(", ".join(f"{count} {what}" for what, count in done.items() if count))
