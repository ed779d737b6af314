"""Base class of the commands that change learners' state at one block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.management.arguments import add_learners, add_place, find_learners, find_place
from xqueue_bridge.management.progress import ProgressBar

Deed = Callable[[int, LearningContextKey, UsageKey], bool]


class BlockCommand(BaseCommand):
    """Perform one action on each learner; subclasses define the action and its dry run."""

    #: The action in the past tense, such as "reset", for the final message.
    done = ""

    def deed(self, user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
        """Perform the action and return whether it changed anything."""
        raise NotImplementedError

    def would(self, user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
        """Return whether the action would change anything."""
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        add_place(parser)
        add_learners(parser)
        parser.add_argument("--dry-run", action="store_true", help="Count, and change nothing.")
        parser.add_argument("--no-progress", action="store_true", help="Say only how it ended.")

    def handle(self, *args: Any, **options: Any) -> None:
        course_key, usage_key = find_place(options["course"], options["block"])
        learners = self.learners(course_key, usage_key, **options)
        deed: Deed = self.would if options["dry_run"] else self.deed
        changed = looked_at = 0
        would = "would be " if options["dry_run"] else ""
        try:
            with ProgressBar(self.stderr, len(learners), quiet=options["no_progress"]) as bar:
                for looked_at, user_id in enumerate(learners, 1):
                    changed += deed(user_id, course_key, usage_key)
                    bar.to(looked_at, f"{changed} {would}{self.done}")
        except KeyboardInterrupt:
            rest = len(learners) - looked_at
            raise CommandError(f"Interrupted: {changed} {self.done}, {rest} not tried") from None
        self.stdout.write(f"{changed} of {len(learners)} learners {would}{self.done}")

    def learners(
        self, course_key: LearningContextKey, usage_key: UsageKey, **options: Any
    ) -> Sequence[int]:
        """Return the ids of the learners to process. Raises CommandError."""
        learners = find_learners(options["learner"], options["user_id"])
        if not learners:
            raise CommandError("Name learners, by user name or --user-id.")
        return learners
