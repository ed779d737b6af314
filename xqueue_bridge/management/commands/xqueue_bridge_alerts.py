"""Show the alerts: which trouble goes on, and what operators were told of it."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandParser

from xqueue_bridge.alerts.api import Alert
from xqueue_bridge.management.arguments import write_facts


class Command(BaseCommand):
    help = "Print the alerts that are open, and the notifications of them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--all", action="store_true", help="Those that have ended, too.")
        parser.add_argument("--queue", help="Only of this queue.")
        parser.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(
        self, *args: object, all: bool, queue: str | None, json: bool, **options: object
    ) -> None:
        rows = Alert.objects.order_by("-is_open", "-changed_at")
        if not all:
            rows = rows.filter(is_open=True)
        if queue is not None:
            rows = rows.filter(queue_name=queue)
        for row in rows.iterator():
            times = {
                "since": row.changed_at,
                "notified_at": row.notified_at,
                "next_attempt_at": row.next_attempt_at,
            }
            facts = {
                "kind": row.kind,
                "queue": row.queue_name,
                "status": "open" if row.is_open else "ended",
                **{name: at and at.isoformat(timespec="seconds") for name, at in times.items()},
                "measured": row.detail,
                "is_told": row.is_told,
                "attempts": row.attempts,
                "last_error": row.last_error,
            }
            write_facts(self.stdout, facts, json)
