"""Retire learners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xqueue_bridge.exceptions import XQueueBridgeError
from xqueue_bridge.management.arguments import add_learners, find_learners
from xqueue_bridge.management.progress import ProgressBar
from xqueue_bridge.retirement import (
    RetirementMode,
    retirement_batches,
    retirement_plan,
    unfinished_retirements,
)


class Command(BaseCommand):
    help = (
        "Forget learners: what they wrote, their files, and what graders said to them. Scores and "
        "times stay, unless --purge. It cannot be undone. Interrupted, or if a file could not be "
        "removed, run it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_learners(parser)
        parser.add_argument(
            "--unfinished",
            action="store_true",
            help="Go on with every retirement that was begun and not finished.",
        )
        parser.add_argument("--purge", action="store_true", help="Delete every row, too.")
        parser.add_argument("--dry-run", action="store_true", help="Count, and change nothing.")
        parser.add_argument("--no-progress", action="store_true", help="Say only how it ended.")

    def handle(self, *args: Any, **options: Any) -> None:
        mode = RetirementMode.PURGE if options["purge"] else RetirementMode.SCRUB
        wanted = dict.fromkeys(find_learners(options["learner"], options["user_id"]), mode)
        if options["unfinished"]:
            wanted = dict(unfinished_retirements()) | wanted
        elif not wanted:
            raise CommandError("Name learners, by user name or --user-id, or say --unfinished.")
        failed = [who for who, how in wanted.items() if not self._retire(who, how, options)]
        if failed:
            raise CommandError(f"Not retired: {', '.join(map(str, failed))}. Run it again.")

    def _retire(self, user_id: int, mode: RetirementMode, options: Mapping[str, Any]) -> bool:
        """Retire one learner, print the result, and return whether it succeeded."""
        done: Counter[str] = Counter()
        try:
            plan = retirement_plan(user_id, mode)
            if not options["dry_run"]:
                total = plan.total()
                with ProgressBar(self.stderr, total, quiet=options["no_progress"]) as bar:
                    for batch in retirement_batches(user_id, mode):
                        done += batch
                        bar.to(min(done.total(), total), f"learner {user_id}")
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted: {_told(done)}; run it again.") from None
        except XQueueBridgeError as exc:
            self.stderr.write(f"learner {user_id}: {exc}")
            return False
        said = f"would {mode} {_told(plan)}" if options["dry_run"] else f"{mode}: {_told(done)}"
        self.stdout.write(f"learner {user_id}: {said}")
        return True


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())) or "nothing"
