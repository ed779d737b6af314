"""Remove old finished submissions."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime

from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.management.arguments import course_key, days_ago, positive
from xqueue_bridge.management.progress import Progress
from xqueue_bridge.operations import api as operations
from xqueue_bridge.submission_queue import api as submission_queue


class Command(BaseCommand):
    help = (
        "Remove submissions that finished long ago, with their replies, contents and files. "
        "Learners' states, scores and grades stay. If it is interrupted, run it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--keep-days", dest="before", type=days_ago, metavar="D", required=True,
            help="Keep submissions that finished in the last D days.",
        )  # fmt: skip
        parser.add_argument("--course", type=course_key, help="Only those of this course.")
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--archive", action="store_true",
            help="Move them into the archive table, where they keep their files.",
        )  # fmt: skip
        how.add_argument(
            "--archived", action="store_true", help="Delete from the archive table instead."
        )
        parser.add_argument("--limit", type=positive, metavar="N", help="Remove at most N.")
        parser.add_argument("--dry-run", action="store_true", help="Count, but remove nothing.")
        parser.add_argument("--json", action="store_true", help="Print the counts as JSON.")
        parser.add_argument("--no-progress", action="store_true", help="Print the result only.")

    def handle(
        self,
        *args: object,
        before: datetime,
        course: CourseKey | None,
        archive: bool,
        archived: bool,
        limit: int | None,
        dry_run: bool,
        json: bool,
        no_progress: bool,
        **options: object,
    ) -> None:
        selection = submission_queue.Selection(before, course)
        if archived:
            plan = submission_queue.archived_to_prune(selection)
        else:
            plan = submission_queue.submissions_to_prune(selection)
        if dry_run:
            return self._report(plan, json, dry_run)
        if archived:
            batches = submission_queue.prune_archive(selection, limit=limit)
        else:
            batches = submission_queue.prune_submissions(selection, archive=archive, limit=limit)
        done: Counter[str] = Counter()
        progress = Progress(self.stderr, plan["submissions"], quiet=no_progress)
        try:
            for batch in batches:
                done += batch
                progress.update(done["submissions"], f"{done['submissions']} submissions")
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted: {_text(done)} removed; run it again.") from None
        finally:
            _record(done["submissions"], before, course, archive=archive, archived=archived)
        self._report(done, json, dry_run)
        if done["files left"]:
            raise CommandError(f"{done['files left']} files could not be deleted. Run it again.")
        return None

    def _report(self, counts: Counter[str], as_json: bool, dry_run: bool) -> None:
        if as_json:
            names = ("submissions", "replies", "files", "files left")
            values = {name.replace(" ", "_"): counts[name] for name in names}
            self.stdout.write(json.dumps({**values, "dry_run": dry_run}))
        else:
            what = "would be removed" if dry_run else "removed"
            self.stdout.write(f"{_text(counts)} {what}")


def _record(
    number: int, before: datetime, course: CourseKey | None, *, archive: bool, archived: bool
) -> None:
    parameters = {
        "table": "archivedsubmission" if archived else "submission",
        "before": before.isoformat(timespec="seconds"),
        "course": str(course or ""),
        "archive": archive,
    }
    kind = operations.OperatorAction.Kind.PRUNE
    operations.record(kind, None, parameters=parameters, selected=number, changed=number)


def _text(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in ("submissions", "replies", "files"))
