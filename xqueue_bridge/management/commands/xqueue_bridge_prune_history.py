"""Delete old history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xqueue_bridge.conf import options as bridge_options
from xqueue_bridge.learner_state.history import prune
from xqueue_bridge.management.arguments import days_ago, positive
from xqueue_bridge.management.progress import Progress
from xqueue_bridge.operations import api as operations


class Command(BaseCommand):
    help = (
        "Delete old history. The newest entry of each StudentModule always stays. With both "
        "--keep-last and --keep-days, an entry stays if either of them keeps it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--keep-last",
            type=positive,
            metavar="N",
            help="Keep the N newest entries of each row.",
        )
        parser.add_argument(
            "--keep-days",
            dest="since",
            type=days_ago,
            metavar="D",
            help="Keep entries younger than D days.",
        )
        parser.add_argument(
            "--orphans",
            action="store_true",
            help="Delete all history of deleted rows; for history in another database.",
        )
        parser.add_argument(
            "--start", type=positive, metavar="ROW", help="Continue at this row id, downwards."
        )
        parser.add_argument("--dry-run", action="store_true", help="Count, but delete nothing.")
        parser.add_argument("--no-progress", action="store_true", help="Print the result only.")

    def handle(
        self,
        *args: object,
        keep_last: int | None,
        since: datetime | None,
        orphans: bool,
        start: int | None,
        dry_run: bool,
        no_progress: bool,
        **options: object,
    ) -> None:
        if not (keep_last or since or orphans):
            raise CommandError("At least one of --keep-last, --keep-days, --orphans is required.")
        if orphans and bridge_options().HISTORY_KEEP_AFTER_DELETE:
            raise CommandError("--orphans cannot be used with HISTORY_KEEP_AFTER_DELETE.")
        did = "would be deleted" if dry_run else "deleted"
        if keep_last or since:
            policy = prune.Policy(keep_last, since)
            walk = prune.prune(policy, dry_run=dry_run, start=start)
            rows = start or prune.newest_row()
            self._follow(walk, rows, f"entries {did}", dry_run, quiet=no_progress, downwards=True)
        if orphans:
            walk = prune.prune_orphans(dry_run=dry_run)
            rows, what = prune.newest_row(), f"entries of deleted rows {did}"
            self._follow(walk, rows, what, dry_run, quiet=no_progress)

    def _follow(
        self,
        walk: Iterator[prune.PruneProgress],
        rows: int,
        what: str,
        dry_run: bool,
        *,
        quiet: bool,
        downwards: bool = False,
    ) -> None:
        at = prune.PruneProgress(rows)
        try:
            progress = Progress(self.stderr, rows, quiet=quiet)
            for at in walk:
                done = rows - at.student_module_id if downwards else at.student_module_id
                progress.update(done, f"{at.deleted} {what}")
        except KeyboardInterrupt:
            where = f"; continue with --start {at.student_module_id}" if downwards else ""
            raise CommandError(f"Interrupted: {at.deleted} {what}{where}") from None
        finally:
            if not dry_run:
                _record(at.deleted)
        self.stdout.write(f"{at.deleted} {what}")


def _record(number: int) -> None:
    kind, parameters = operations.OperatorAction.Kind.PRUNE, {"table": "studentmodulehistory"}
    operations.record(kind, None, parameters=parameters, selected=number, changed=number)
