"""Show the statistics of every queue."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

from django.core.management.base import BaseCommand, CommandParser

from xqueue_bridge.submission_queue.api import QueueStats, queue_stats


class Command(BaseCommand):
    help = "Print depth, oldest age, leases, failures and pending replies of each queue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: object, **options: object) -> None:
        reports = queue_stats()
        if options["json"]:
            for report in reports:
                self.stdout.write(json.dumps(asdict(report)))
            return
        names = [field.name for field in fields(QueueStats)]
        rows = [[_cell(getattr(report, name)) for name in names] for report in reports]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        for row in (names, *rows):
            self.stdout.write("  ".join(map(str.ljust, row, widths)).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if isinstance(value, float) else str(value)
