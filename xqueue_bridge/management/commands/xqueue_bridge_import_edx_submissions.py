"""Import submissions that wait in edx-submissions, and report what is still there."""

from __future__ import annotations

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge import edx_submissions


class Command(BaseCommand):
    help = "Import what waits in edx-submissions; its graders may go on running."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--course", help="Only this course's submissions.")
        parser.add_argument("--limit", type=int, default=1000, help="At most so many (1000).")
        parser.add_argument("--dry-run", action="store_true", help="Print the report only.")

    def handle(self, *args: object, course: str | None, limit: int, **options: object) -> None:
        if not apps.is_installed("submissions"):
            raise CommandError("The app 'submissions' (edx-submissions) is not installed.")
        try:
            course_key = CourseKey.from_string(course) if course else None
        except InvalidKeyError:
            raise CommandError(f"{course!r} is not a course key.") from None
        if not options["dry_run"]:
            done = edx_submissions.import_rows(course_key, limit)
            for what, count in sorted(done.items()):
                self.stdout.write(f"{count} {what}")
        report = edx_submissions.drain_report()
        for course_id, counts in sorted(report.items()):
            figures = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
            self.stdout.write(f"{course_id}: {figures} in edx-submissions")
        if course and course not in report:
            self.stdout.write(f"{course}: 0 in flight in edx-submissions")
