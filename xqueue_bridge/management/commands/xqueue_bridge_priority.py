"""Set and show the priorities of queues and courses."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.management.arguments import course_key
from xqueue_bridge.models import Priority
from xqueue_bridge.operations import api as operations

LEVELS = {level.name.lower(): level.value for level in Priority.Level}


class Command(BaseCommand):
    help = "Set the priority of a course, a queue, or a course in a queue. It counts from now on."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        setting = actions.add_parser("set", help="Set a priority.")
        setting.add_argument("level", choices=LEVELS)
        removal = actions.add_parser("clear", help="Remove a priority.")
        actions.add_parser("list", help="Print all priorities.")
        for each in (setting, removal):
            each.add_argument("--queue", default="", help="The queue name.")
            each.add_argument("--course", type=course_key, help="The course key.")
        for each in actions.choices.values():
            each.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: object, action: str, **options: Any) -> None:
        if action != "list":
            self._change(options["queue"], options["course"], LEVELS.get(options.get("level", "")))
        for row in Priority.objects.order_by("queue_name", "course_key"):
            facts = {
                "queue": row.queue_name,
                "course": row.course_key,
                "level": Priority.Level(row.level).name.lower(),
            }
            if options["json"]:
                self.stdout.write(json.dumps(facts))
            else:
                self.stdout.write("  ".join(value or "*" for value in facts.values()))

    def _change(self, queue_name: str, course: CourseKey | None, level: int | None) -> None:
        if not queue_name and course is None:
            raise CommandError("--queue, --course or both are required.")
        try:
            operations.set_priority(queue_name, course, level)
        except InvalidField as exc:
            raise CommandError(f"--queue: {exc.reason}") from None
