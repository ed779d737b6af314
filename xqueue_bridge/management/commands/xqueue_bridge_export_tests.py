"""Write the tests of a course's replies as CSV to standard output."""

from __future__ import annotations

from datetime import datetime

from django.core.management.base import BaseCommand, CommandParser
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.management.arguments import course_key, parse_time
from xqueue_bridge.views.tests_csv import lines_of_tests


class Command(BaseCommand):
    help = "Write the tests that graders sent with their results as CSV, one line for each test."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("course", type=course_key, help="The course's key.")
        parser.add_argument(
            "--since",
            type=parse_time,
            help="Only results received since this day or time (ISO 8601; UTC without a zone).",
        )

    def handle(
        self, *args: object, course: CourseKey, since: datetime | None, **options: object
    ) -> None:
        for line in lines_of_tests(course, since):
            self.stdout.write(line, ending="")
