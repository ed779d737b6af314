"""Delete old history."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from xqueue_bridge.conf import options as bridge_options
from xqueue_bridge.learner_state.history import prune
from xqueue_bridge.management.progress import Progress


class Command(BaseCommand):
    help = (
        "Delete old history. The newest entry of each StudentModule always stays. With both "
        "--keep-last and --keep-days, an entry stays if either of them keeps it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--keep-last",
            type=_positive,
            metavar="N",
            help="Keep the N newest entries of each row.",
        )
        parser.add_argument(
            "--keep-days", type=_positive, metavar="D", help="Keep entries younger than D days."
        )
        parser.add_argument(
            "--orphans",
            action="store_true",
            help="Delete all history of deleted rows; for history in another database.",
        )
        parser.add_argument(
            "--start", type=_positive, metavar="ROW", help="Continue at this row id, downwards."
        )
        parser.add_argument("--dry-run", action="store_true", help="Count, but delete nothing.")
        parser.add_argument("--no-progress", action="store_true", help="Print the result only.")

    def handle(self, *args: object, **options: Any) -> None:
        by_age = options["keep_last"] or options["keep_days"]
        if not by_age and not options["orphans"]:
            raise CommandError("At least one of --keep-last, --keep-days, --orphans is required.")
        if options["orphans"] and bridge_options().HISTORY_KEEP_AFTER_DELETE:
            raise CommandError("--orphans cannot be used with HISTORY_KEEP_AFTER_DELETE.")
        if by_age:
            policy = prune.Policy(options["keep_last"], _since(options["keep_days"]))
            walk = prune.prune(policy, dry_run=options["dry_run"], start=options["start"])
            newest = options["start"] or prune.newest_row()
            self._follow(walk, newest, "entries", options, downwards=True)
        if options["orphans"]:
            walk = prune.prune_orphans(dry_run=options["dry_run"])
            self._follow(walk, prune.newest_row(), "entries of deleted rows", options)

    def _follow(
        self,
        walk: Iterator[prune.PruneProgress],
        rows: int,
        what: str,
        options: dict[str, Any],
        *,
        downwards: bool = False,
    ) -> None:
        did = "would be deleted" if options["dry_run"] else "deleted"
        at = prune.PruneProgress(rows)
        try:
            progress = Progress(self.stderr, rows, quiet=options["no_progress"])
            for at in walk:
                done = rows - at.student_module_id if downwards else at.student_module_id
                progress.update(done, f"{at.deleted} {what} {did}")
        except KeyboardInterrupt:
            where = f"; continue with --start {at.student_module_id}" if downwards else ""
            raise CommandError(f"Interrupted: {at.deleted} {what} {did}{where}") from None
        self.stdout.write(f"{at.deleted} {what} {did}")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _since(days: int | None) -> datetime | None:
    if not days:
        return None
    try:
        return timezone.now() - timedelta(days=days)
    except OverflowError:
        raise CommandError(f"--keep-days: {days} is too large for a date.") from None
