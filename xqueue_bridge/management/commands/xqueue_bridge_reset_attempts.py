"""Reset learners' attempts at a problem to 0."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.management.base import CommandError, CommandParser
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.deletion import has_attempts, learner_ids_at, reset_attempts
from xqueue_bridge.management.block_command import BlockCommand


class Command(BlockCommand):
    help = "Set learners' attempts at a problem to 0. Answers, feedback and scores stay."
    done = "reset"
    perform = staticmethod(reset_attempts)
    would_change = staticmethod(has_attempts)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--everyone", action="store_true", help="All learners who have state at the problem."
        )

    def learners(
        self, course_key: LearningContextKey, usage_key: UsageKey, **options: object
    ) -> Sequence[int]:
        if not options["everyone"]:
            return super().learners(course_key, usage_key, **options)
        if options["learner"] or options["user_id"]:
            raise CommandError("--everyone cannot be used with usernames or --user-id.")
        return list(learner_ids_at(course_key, usage_key))
