"""Import submissions that wait in edx-submissions, and report what is still there."""

from __future__ import annotations

from collections import Counter

from django.apps import apps
from django.core.management.base import CommandError
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.management.import_command import ImportCommand
from xqueue_bridge.moving import drain, edx_submissions


class Command(ImportCommand):
    help = "Import what waits in edx-submissions; its graders may go on running."

    def handle(
        self, *args: object, course: CourseKey | None, limit: int, json: bool, **options: object
    ) -> None:
        if not apps.is_installed("submissions"):
            raise CommandError("The app 'submissions' (edx-submissions) is not installed.")
        done: Counter[str] = Counter()
        if not options["dry_run"]:
            try:
                done = edx_submissions.import_rows(course, limit)
            except ModuleNotFoundError as exc:
                # edx-submissions names learners by ids that only the platform can look up.
                raise CommandError(f"Run this command in the LMS: {exc}.") from exc
        left = edx_submissions.drain_report()
        self.report(drain.EDX_SUBMISSIONS, done, left, course, as_json=json)
