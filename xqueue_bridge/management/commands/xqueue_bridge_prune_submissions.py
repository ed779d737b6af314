"""Remove old finished submissions."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.management.progress import Progress
from xqueue_bridge.submission_queue import api as submission_queue


class Command(BaseCommand):
    help = (
        "Remove submissions that finished long ago, with their replies, contents and files. "
        "Learners' states, scores and grades stay. If it is interrupted, run it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--keep-days", type=_positive, metavar="D", required=True,
            help="Keep submissions that finished in the last D days.",
        )  # fmt: skip
        parser.add_argument("--course", type=_course_key, help="Only those of this course.")
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--archive", action="store_true",
            help="Move them into the archive table, where they keep their files.",
        )  # fmt: skip
        how.add_argument(
            "--archived", action="store_true", help="Delete from the archive table instead."
        )
        parser.add_argument("--limit", type=_positive, metavar="N", help="Remove at most N.")
        parser.add_argument("--dry-run", action="store_true", help="Count, but remove nothing.")
        parser.add_argument("--json", action="store_true", help="Print the counts as JSON.")
        parser.add_argument("--no-progress", action="store_true", help="Print the result only.")

    def handle(self, *args: object, **options: Any) -> None:
        try:
            before = timezone.now() - timedelta(days=options["keep_days"])
        except OverflowError:
            days = options["keep_days"]
            raise CommandError(f"--keep-days: {days} is too large for a date.") from None
        selection = submission_queue.Selection(before, options["course"])
        count = (
            submission_queue.archived_to_prune
            if options["archived"]
            else submission_queue.submissions_to_prune
        )
        plan = count(selection)
        if options["dry_run"]:
            return self._report(plan, options, "would be removed")
        done: Counter[str] = Counter()
        progress = Progress(self.stderr, plan["submissions"], quiet=options["no_progress"])
        try:
            for batch in self._batches(selection, options):
                done += batch
                progress.update(done["submissions"], f"{done['submissions']} submissions")
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted: {_text(done)} removed; run it again.") from None
        self._report(done, options, "removed")
        if done["files left"]:
            raise CommandError(f"{done['files left']} files could not be deleted. Run it again.")
        return None

    def _batches(
        self, selection: submission_queue.Selection, options: dict[str, Any]
    ) -> Iterator[Counter[str]]:
        if options["archived"]:
            return submission_queue.prune_archive(selection, limit=options["limit"])
        return submission_queue.prune_submissions(
            selection, archive=options["archive"], limit=options["limit"]
        )

    def _report(self, counts: Counter[str], options: dict[str, Any], what: str) -> None:
        if options["json"]:
            names = ("submissions", "replies", "files", "files left")
            values = {name.replace(" ", "_"): counts[name] for name in names}
            self.stdout.write(json.dumps({**values, "dry_run": options["dry_run"]}))
        else:
            self.stdout.write(f"{_text(counts)} {what}")


def _text(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in ("submissions", "replies", "files"))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _course_key(text: str) -> CourseKey:
    try:
        return CourseKey.from_string(text)
    except InvalidKeyError:
        raise ArgumentTypeError(f"{text!r} is not a course key") from None
