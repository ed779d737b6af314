"""Find learners' answers that wait for a reply which no row will bring, and repair them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.management.arguments import course_key, whole_number, write_facts
from xqueue_bridge.operations import api as operations
from xqueue_bridge.stuck_answers.api import OLDER_THAN, Scan, StuckAnswer, can_find, find


class Command(BaseCommand):
    help = "Find stuck answers and repair them. Without --repair nothing is changed."

    def add_arguments(self, parser: CommandParser) -> None:
        hour = OLDER_THAN // timedelta(minutes=1)
        parser.add_argument("--course", type=course_key, help="Only this course (default: all).")
        parser.add_argument("--repair", action="store_true", help="Repair what is found.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Find only; this is the default."
        )
        parser.add_argument(
            "--older-than",
            type=whole_number,
            default=hour,
            metavar="MINUTES",
            help=f"Only states that were not written in this time (default: {hour}).",
        )
        parser.add_argument(
            "--after", type=whole_number, default=0, metavar="ROW", help="Go on after this row."
        )
        parser.add_argument(
            "--seconds",
            type=whole_number,
            metavar="N",
            help="End after this time (default: no limit).",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(
        self,
        *args: object,
        course: CourseKey | None,
        repair: bool,
        dry_run: bool,
        older_than: int,
        after: int,
        seconds: int | None,
        json: bool,
        **options: object,
    ) -> None:
        if problem := can_find():
            raise CommandError(problem)
        if repair and dry_run:
            raise CommandError("--repair cannot be used with --dry-run.")
        outcomes: Counter[str] = Counter()
        waiting = at_legacy_server = 0
        next_row: int | None = after
        record = operations.begin_repair(course) if repair else None
        for scan in _scans(course, after, timedelta(minutes=older_than), seconds):
            waiting += scan.waiting
            at_legacy_server += scan.at_legacy_server
            next_row = scan.next
            for facts in _repaired(scan, course, record) if record else _found(scan):
                outcomes[str(facts["outcome" if record else "kind"])] += 1
                write_facts(self.stdout, facts, json)
        total: dict[str, object] = {
            "waiting": waiting,
            "stuck": sum(outcomes.values()),
            "at_legacy_server": at_legacy_server,
            **outcomes,
            "next": next_row,
        }
        write_facts(self.stdout, total, json)


def _scans(
    course: CourseKey | None, after: int, older_than: timedelta, seconds: int | None
) -> Iterator[Scan]:
    end = None if seconds is None else time.monotonic() + seconds
    row: int | None = after
    while row is not None:
        scan = find(course, after=row, older_than=older_than)
        yield scan
        row = scan.next
        if end is not None and time.monotonic() >= end:
            return


def _found(scan: Scan) -> Iterator[dict[str, object]]:
    for answer in scan.answers:
        yield {**_facts(answer), "repair": answer.repair.value}


def _repaired(
    scan: Scan, course_key: CourseKey | None, record: operations.OperatorAction
) -> Iterator[dict[str, object]]:
    for row_id in dict.fromkeys(answer.row_id for answer in scan.answers):
        for done in operations.repair(record, [row_id], course_key):
            yield {**_facts(done.answer), "outcome": done.outcome.value, "reason": done.reason}


def _facts(answer: StuckAnswer) -> dict[str, object]:
    return {
        "row": answer.row_id,
        "user_id": answer.target.user_id,
        "course": str(answer.target.course_key),
        "problem": str(answer.target.usage_key),
        "since": answer.since.isoformat(),
        "kind": answer.kind.value,
        "submission": answer.submission_id,
    }
