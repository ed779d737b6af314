"""Pause and resume a queue."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.submission_queue import api as submission_queue

_CHANGES = {
    "pause": (submission_queue.pause_queue, "Let graders pull no submissions."),
    "resume": (submission_queue.resume_queue, "Let graders pull again."),
}


class Command(BaseCommand):
    help = "Act on one queue. xqueue_bridge_queue_stats lists the queues."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for action, (_change, text) in _CHANGES.items():
            one = actions.add_parser(action, help=text)
            one.add_argument("queue")
            one.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: object, action: str, queue: str, **options: Any) -> None:
        change, _text = _CHANGES[action]
        try:
            is_changed = change(queue)
        except InvalidField as exc:
            raise CommandError(str(exc)) from exc
        facts = {"action": action, "queue": queue, "changed": is_changed}
        if options["json"]:
            self.stdout.write(json.dumps(facts))
        else:
            self.stdout.write("  ".join(f"{name}={value}" for name, value in facts.items()))
