"""Import and publish a course structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.course_grades.api import summary, warnings
from xqueue_bridge.course_structure.api import (
    Course,
    course_structures,
    publish,
    read_course,
    version_from,
)
from xqueue_bridge.exceptions import InvalidCourse
from xqueue_bridge.management.arguments import course_key

#: Elements that could not be read and are listed.
MAX_REPORTS = 100


class Command(BaseCommand):
    help = "Import a course's subsections, maximum scores and grading policy, and publish them."

    _reports: list[InvalidCourse]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "path",
            type=Path,
            help="A course as Studio exports it (folder or tar.gz), or a JSON document.",
        )
        parser.add_argument(
            "--course-key",
            type=course_key,
            help="The course key (default: the one in the files).",
        )
        parser.add_argument(
            "--course-version", help="The version's name (default: a hash of the content)."
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Read and check, but publish nothing."
        )

    def handle(
        self,
        *args: object,
        path: Path,
        dry_run: bool,
        course_key: CourseKey | None,
        course_version: str | None,
        **options: object,
    ) -> None:
        try:
            course = self._read(path, course_key, course_version)
            previous = course_structures().get(course.course_key)
            if not dry_run:
                previous = publish(course).previous
        except InvalidCourse as exc:
            raise CommandError(f"{path}: {exc}") from None
        for line in summary(course):
            self.stdout.write(line)
        for warning in self._warnings(course):
            self.stderr.write(self.style.WARNING(f"Warning: {warning}."))
        self.stdout.write(_outcome(course, previous, dry_run))

    def _warnings(self, course: Course) -> Iterator[str]:
        """Yield what could not be read, element by element, and probable mistakes."""
        for error in self._reports[:MAX_REPORTS]:
            yield str(error)
        if len(self._reports) > MAX_REPORTS:
            yield f"{len(self._reports) - MAX_REPORTS} more elements could not be read"
        yield from warnings(course)

    def _read(self, path: Path, course_key: CourseKey | None, version: str | None) -> Course:
        self._reports = []
        course = read_course(path, course_key, self._reports.append)
        return replace(course, version=version_from(version, "version")) if version else course


def _outcome(course: Course, previous: Course | None, dry_run: bool) -> str:
    if previous is not None and previous.version == course.version:
        return f"version {course.version} is already published"
    before = f"replaces {previous.version}" if previous else "first version of this course"
    return f"version {course.version} {'would be ' if dry_run else ''}published; {before}"
