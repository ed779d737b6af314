"""Base class of the commands that change learners' state at one block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.management.arguments import (
    add_block_arguments,
    add_learners,
    find_block,
    find_learners,
)
from xqueue_bridge.management.progress import Progress

Action = Callable[[int, LearningContextKey, UsageKey], bool]


class BlockCommand(BaseCommand):
    """Perform one action on each learner; subclasses define the action and its dry run."""

    #: The action in the past tense, such as "reset", for the final message.
    done = ""

    def perform(self, user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
        """Perform the action and return whether it changed anything."""
        raise NotImplementedError

    def would_change(
        self, user_id: int, course_key: LearningContextKey, usage_key: UsageKey
    ) -> bool:
        """Return whether the action would change anything."""
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        add_block_arguments(parser)
        add_learners(parser)
        parser.add_argument("--dry-run", action="store_true", help="Count, but change nothing.")
        parser.add_argument("--no-progress", action="store_true", help="Print the result only.")

    def handle(self, *args: object, **options: Any) -> None:
        course_key, usage_key = find_block(options["course"], options["block"])
        learners = self.learners(course_key, usage_key, **options)
        action: Action = self.would_change if options["dry_run"] else self.perform
        changed = tried = 0
        would = "would be " if options["dry_run"] else ""
        try:
            progress = Progress(self.stderr, len(learners), quiet=options["no_progress"])
            for tried, user_id in enumerate(learners, 1):
                changed += action(user_id, course_key, usage_key)
                progress.update(tried, f"{changed} {would}{self.done}")
        except KeyboardInterrupt:
            rest = len(learners) - tried
            raise CommandError(f"Interrupted: {changed} {self.done}, {rest} not tried") from None
        self.stdout.write(f"{changed} of {len(learners)} learners {would}{self.done}")

    def learners(
        self, course_key: LearningContextKey, usage_key: UsageKey, **options: Any
    ) -> Sequence[int]:
        """Return the ids of the learners to process. Raises CommandError."""
        learners = find_learners(options["learner"], options["user_id"])
        if not learners:
            raise CommandError("At least one username or --user-id is required.")
        return learners
