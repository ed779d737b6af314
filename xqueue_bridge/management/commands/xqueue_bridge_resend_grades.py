"""Send stored grades to Credentials again."""

from __future__ import annotations

from datetime import datetime

from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.conf import credentials_options
from xqueue_bridge.credentials import api as credentials
from xqueue_bridge.management.arguments import course_key, parse_time
from xqueue_bridge.operations import api as operations


class Command(BaseCommand):
    help = "Enqueue stored course grades for Credentials again; the sweeper sends them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            type=parse_time,
            help="Only grades changed since this day or time (ISO 8601; UTC if it has no zone).",
        )
        parser.add_argument(
            "--course",
            action="append",
            default=[],
            type=course_key,
            help="Only grades of this course; may be repeated.",
        )
        parser.add_argument(
            "--failed",
            action="store_true",
            help="Only grades that Credentials refused or that failed too often.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Print the grades, but change nothing."
        )

    def handle(
        self,
        *args: object,
        since: datetime | None,
        course: list[CourseKey],
        failed: bool,
        dry_run: bool,
        **options: object,
    ) -> None:
        if not (since or course or failed):
            raise CommandError("At least one of --since, --course, --failed is required.")
        if credentials_options() is None:
            raise CommandError("XQUEUE_BRIDGE['CREDENTIALS'] is not set.")
        count = 0
        for grade in credentials.resend(
            since=since, course_keys=tuple(course), only_failed=failed, dry_run=dry_run
        ):
            count += 1
            if dry_run:
                self.stdout.write(f"{grade.course_id}  user {grade.user_id}")
        if count and not dry_run:
            _record(count, course, failed)
        done = "would be sent again" if dry_run else "will be sent again"
        self.stdout.write(f"{count} grades {done}.")


def _record(number: int, course_keys: list[CourseKey], failed: bool) -> None:
    courses = ", ".join(map(str, course_keys))
    operations.record(
        operations.OperatorAction.Kind.RESEND,
        None,
        parameters={"table": "gradeoutbox", "course": courses, "failed": failed},
        selected=number,
        changed=number,
    )
