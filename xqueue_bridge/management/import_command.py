"""Base of the commands that import submissions from another queue."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from django.core.management.base import BaseCommand, CommandParser
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.management.arguments import course_key, positive
from xqueue_bridge.moving import drain
from xqueue_bridge.operations import api as operations

#: What a run has taken over from the other queue.
TAKEN = ("imported", "forwarded", "results stored")


class ImportCommand(BaseCommand):
    """Parse the common options, and print what was done and what is left."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--course", type=course_key, help="Only this course's submissions.")
        parser.add_argument(
            "--limit",
            type=positive,
            default=1000,
            help="Import this number of rows at most (1000).",
        )
        parser.add_argument("--dry-run", action="store_true", help="Print the report only.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def report(
        self,
        source: str,
        done: Counter[str],
        left: Mapping[str, Counter[str]],
        course: CourseKey | None,
        *,
        as_json: bool,
    ) -> None:
        """Record a run that has done something; print its counts and the source's drain report."""
        if done:
            operations.record(
                operations.OperatorAction.Kind.IMPORT,
                None,
                parameters={"table": source, "course": str(course or "")},
                selected=sum(done.values()),
                changed=sum(done[name] for name in TAKEN),
            )
        if course is not None:
            left = {name: counts for name, counts in left.items() if name == str(course)}
        if as_json:
            rows = {name: dict(counts) for name, counts in sorted(left.items())}
            self.stdout.write(json.dumps({"done": dict(done), "in_flight": rows}))
            return
        for what, count in sorted(done.items()):
            self.stdout.write(f"{count} {what}")
        for name, counts in sorted(left.items()):
            self.stdout.write(f"{name}: {drain.figures(counts)} in {source}")
        if not left:
            prefix = f"{course}: " if course else ""
            self.stdout.write(f"{prefix}0 in flight in {source}")
