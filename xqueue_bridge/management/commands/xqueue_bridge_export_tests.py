"""Write the tests of a course's replies as CSV to standard output."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import datetime

from django.core.management.base import BaseCommand, CommandParser
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.views.tests_csv import lines_of_tests


class Command(BaseCommand):
    help = "Write the tests that graders sent with their results as CSV, one line for each test."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("course", type=_course_key, help="The course's key.")
        parser.add_argument(
            "--since",
            type=_time,
            help="Only results received since this time (ISO 8601, with zone).",
        )

    def handle(
        self, *args: object, course: CourseKey, since: datetime | None, **options: object
    ) -> None:
        for line in lines_of_tests(course, since):
            self.stdout.write(line, ending="")


def _course_key(text: str) -> CourseKey:
    try:
        return CourseKey.from_string(text)
    except InvalidKeyError:
        raise ArgumentTypeError(f"{text!r} is not a course key") from None


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is no time with a zone, such as 2026-11-20T08:00Z")
    return moment
