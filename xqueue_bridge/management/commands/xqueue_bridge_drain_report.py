"""Report what is in flight elsewhere: in edx-submissions, and in a legacy XQueue's database."""

from __future__ import annotations

import json
import sys

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.management.arguments import course_key
from xqueue_bridge.moving import drain, legacy_table


class Command(BaseCommand):
    help = "Print what is in flight elsewhere for each course; the exit status is 1 if anything is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--course", type=course_key, help="Only this course.")
        parser.add_argument(
            "--database",
            help=f"The legacy XQueue's entry in DATABASES ({legacy_table.ALIAS}, if there is one).",
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(
        self,
        *args: object,
        course: CourseKey | None,
        database: str | None,
        **options: object,
    ) -> None:
        if database is not None and database not in settings.DATABASES:
            raise CommandError(f"--database: DATABASES has no entry {database!r}.")
        found = drain.in_flight(database)
        if course is not None:
            found = {name: counts for name, counts in found.items() if name == str(course)}
        if options["json"]:
            self.stdout.write(json.dumps(found))
        else:
            self._print(found, course)
        if found:
            sys.exit(1)

    def _print(self, found: dict[str, drain.Report], course: CourseKey | None) -> None:
        for name, sources in found.items():
            parts = [f"{drain.figures(counts)} in {source}" for source, counts in sources.items()]
            self.stdout.write(f"{name}: {'; '.join(parts)}")
        if not found:
            prefix = f"{course}: " if course else ""
            self.stdout.write(f"{prefix}0 in flight elsewhere")
