"""Retire learners."""

from __future__ import annotations

from collections import Counter
from functools import partial

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xqueue_bridge.exceptions import XQueueBridgeError
from xqueue_bridge.management.arguments import add_learners, find_learners
from xqueue_bridge.management.progress import Progress
from xqueue_bridge.retirement import (
    RetirementMode,
    retirement_batches,
    retirement_plan,
    unfinished_retirements,
)


class Command(BaseCommand):
    help = (
        "Retire learners: remove their answers, files and feedback. Scores and times stay, unless "
        "--purge is given. This cannot be undone. If it is interrupted, or a file could not be "
        "removed, run it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_learners(parser)
        parser.add_argument(
            "--unfinished",
            action="store_true",
            help="Continue every unfinished retirement.",
        )
        parser.add_argument("--purge", action="store_true", help="Delete the rows, too.")
        parser.add_argument("--dry-run", action="store_true", help="Count, but change nothing.")
        parser.add_argument("--no-progress", action="store_true", help="Print the result only.")

    def handle(
        self,
        *args: object,
        learner: list[str],
        user_id: list[int],
        unfinished: bool,
        purge: bool,
        dry_run: bool,
        no_progress: bool,
        **options: object,
    ) -> None:
        mode = RetirementMode.PURGE if purge else RetirementMode.SCRUB
        wanted = dict.fromkeys(find_learners(learner, user_id), mode)
        if unfinished:
            wanted = dict(unfinished_retirements()) | wanted
        elif not wanted:
            raise CommandError("At least one username, --user-id or --unfinished is required.")
        retire = partial(self._retire, dry_run=dry_run, quiet=no_progress)
        failed = [who for who, how in wanted.items() if not retire(who, how)]
        if failed:
            raise CommandError(f"Not retired: {', '.join(map(str, failed))}. Run it again.")

    def _retire(self, user_id: int, mode: RetirementMode, *, dry_run: bool, quiet: bool) -> bool:
        """Retire one learner, print the result, and return whether it succeeded."""
        done: Counter[str] = Counter()
        try:
            plan = retirement_plan(user_id, mode)
            if not dry_run:
                total = plan.total()
                progress = Progress(self.stderr, total, quiet=quiet)
                for batch in retirement_batches(user_id, mode):
                    done += batch
                    progress.update(min(done.total(), total), f"user {user_id}")
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted: {_format_counts(done)}; run it again.") from None
        except XQueueBridgeError as exc:
            self.stderr.write(f"user {user_id}: {exc}")
            return False
        text = (
            f"would {mode} {_format_counts(plan)}" if dry_run else f"{mode}: {_format_counts(done)}"
        )
        self.stdout.write(f"user {user_id}: {text}")
        return True


def _format_counts(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())) or "nothing"
