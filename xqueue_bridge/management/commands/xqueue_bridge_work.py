"""Show the work in the background: counts, and the rows that wait or have failed."""

from __future__ import annotations

from dataclasses import asdict
from operator import attrgetter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from xqueue_bridge.management.arguments import positive, write_facts
from xqueue_bridge.metrics.work import STATES, kinds_of_work, work_counts, work_items


class Command(BaseCommand):
    help = "Show the work in the background: replies, grades, rows of the outbox, notifications."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("counts", help="Count the work of each kind.")
        rows = actions.add_parser("list", help="Print the newest rows of one kind.")
        rows.add_argument("--kind", choices=kinds_of_work(), default="receivedreply")
        rows.add_argument("--state", choices=STATES, default="failed")
        rows.add_argument("--queue", default="", help="Only of this queue.")
        rows.add_argument("--limit", type=positive, default=100, help="At most so many rows.")
        for each in actions.choices.values():
            each.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: object, action: str, **options: Any) -> None:
        if action == "counts":
            for count in work_counts():
                facts = asdict(count)
                write_facts(self.stdout, {"kind": facts.pop("name"), **facts}, options["json"])
            return
        kind = options["kind"]
        lookup = kinds_of_work()[kind].queue_lookup
        rows = work_items(kind, options["state"], options["queue"])
        if "__" in lookup:
            rows = rows.select_related(lookup.partition("__")[0])
        for row in rows.order_by("-pk")[: options["limit"]]:
            at = row.next_attempt_at
            facts = {
                "kind": kind,
                "id": row.pk,
                "submission": getattr(row, "submission_id", None),
                "queue": attrgetter(lookup.replace("__", "."))(row) if lookup else None,
                "attempts": row.attempts,
                "next_attempt_at": None if at is None else at.isoformat(timespec="seconds"),
                "last_error": row.last_error,
            }
            write_facts(self.stdout, facts, options["json"])
