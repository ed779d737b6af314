"""Act on a queue: pause, resume, move, end, requeue, retry; and what was done."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.management.arguments import whole_number, write_facts
from xqueue_bridge.operations import api as operations
from xqueue_bridge.operations.api import OperatorAction, Order

_TEXTS = {
    "pause": "Let graders pull no submissions.",
    "resume": "Let graders pull again.",
    "move": "Move submissions that no grader holds to another queue.",
    "end": "End the grading of submissions that no grader holds; their learners are told.",
    "requeue": "Requeue failed submissions.",
    "retry": "Retry to apply dead replies.",
    "log": "Print the newest actions on the queue.",
}
_SWITCHES = ("pause", "resume")
#: Actions that ``log`` prints.
_LOGGED = 50


class Command(BaseCommand):
    help = "Act on one queue. xqueue_bridge_queue_stats lists the queues."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for action, text in _TEXTS.items():
            one = actions.add_parser(action, help=text)
            one.add_argument("queue")
            one.add_argument("--json", action="store_true", help="One JSON object a line.")
            if action in (*_SWITCHES, "log"):
                continue
            one.add_argument(
                "--submission",
                type=whole_number,
                action="append",
                metavar="ID",
                help="Only this submission; may be repeated. Default: all of the queue.",
            )
            one.add_argument(
                "--dry-run", action="store_true", help="Print how many it would be, and stop."
            )
        actions.choices["move"].add_argument("--to", required=True, help="The other queue.")

    def handle(self, *args: object, action: str, queue: str, **options: Any) -> None:
        ids = options.get("submission")
        order = Order(action, queue, None if ids is None else tuple(ids), options.get("to", ""))
        try:
            if action == "log":
                found = OperatorAction.objects.filter(queue_name=queue).order_by("-pk")[:_LOGGED]
                for each in found:
                    self._print(each, options["json"])
            elif options.get("dry_run"):
                facts = asdict(operations.preview(order))
                del facts["last_id"]
                write_facts(self.stdout, facts, options["json"])
            else:
                self._print(operations.carry_out(order), options["json"])
        except InvalidField as exc:
            raise CommandError(str(exc)) from exc

    def _print(self, action: OperatorAction, as_json: bool) -> None:
        facts = {
            "id": action.pk,
            "action": action.kind,
            "queue": action.queue_name,
            "author_id": action.author_id,
            "created_at": action.created_at.isoformat(timespec="seconds"),
            **action.parameters,
            "selected": action.selected,
            "changed": action.changed,
            "is_finished": action.finished_at is not None,
        }
        write_facts(self.stdout, facts, as_json)
