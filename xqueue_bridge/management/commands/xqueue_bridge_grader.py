"""Create graders, rotate their secrets, grant queues to them, and show the codes of replies."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Exists, OuterRef, QuerySet

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.management.arguments import write_facts
from xqueue_bridge.models import Grader, GraderSecret, ReplyCodeCount
from xqueue_bridge.operations import api as operations
from xqueue_bridge.protocol.fields import check_name
from xqueue_bridge.submission_queue import api as submission_queue

#: A year. A secret that must live longer should not be rotated.
LONGEST_OVERLAP = timedelta(days=365)


class Command(BaseCommand):
    help = "Manage the machines that grade. A secret is printed once, alone on standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        queue_help = "A queue it may use; may be repeated; '*' is every queue."

        create = actions.add_parser("create", help="Create a grader and print its secret.")
        create.add_argument("name", type=_name)
        create.add_argument("--queue", action="append", default=[], type=_name, help=queue_help)
        create.add_argument(
            "--may-submit",
            action="store_true",
            help="It may send submissions to /xqueue/submit/, as an LMS does.",
        )

        rotate = actions.add_parser("rotate", help="Print a new secret; the former one lives on.")
        rotate.add_argument("name")
        hours = submission_queue.ROTATION_OVERLAP / timedelta(hours=1)
        rotate.add_argument(
            "--overlap-hours",
            type=_hours,
            default=hours,
            help=f"How long the former secret still works (default: {hours:g}).",
        )

        for action, text in (("grant", "Let a grader use a queue."), ("deny", "Undo a grant.")):
            change = actions.add_parser(action, help=text)
            change.add_argument("name")
            change.add_argument(
                "--queue", action="append", required=True, type=_name, help=queue_help
            )

        revoke = actions.add_parser("revoke", help="End a grader's secrets and sessions.")
        revoke.add_argument("name")
        revoke.add_argument(
            "--notice-minutes",
            type=_minutes,
            default=0,
            help="For so long it may return the results of what it holds (default: 0).",
        )
        revoke.add_argument("--json", action="store_true", help="Print a JSON object.")
        actions.add_parser("list", help="List graders and their queues.")
        codes = actions.add_parser("codes", help="Print why replies were refused or changed.")
        codes.add_argument("--grader", help="Only of this grader.")
        codes.add_argument("--json", action="store_true", help="One JSON object a line.")

    def handle(self, *args: object, action: str, **options: object) -> None:
        getattr(self, action)(**options)

    def create(self, name: str, queue: list[str], may_submit: bool, **options: object) -> None:
        if Grader.objects.filter(name=name).exists():
            raise CommandError(f"There is a grader {name!r} already; 'rotate' gives a new secret.")
        self.stdout.write(operations.create_grader(name, queue, may_submit=may_submit))

    def rotate(self, name: str, overlap_hours: float, **options: object) -> None:
        overlap = timedelta(hours=overlap_hours)
        self.stdout.write(operations.rotate_secret(self._grader(name), overlap=overlap))

    def grant(self, name: str, queue: list[str], **options: object) -> None:
        operations.change_grants(self._grader(name), granted=queue)
        self._show(self._grader(name))

    def deny(self, name: str, queue: list[str], **options: object) -> None:
        operations.change_grants(self._grader(name), denied=queue)
        self._show(self._grader(name))

    def revoke(self, name: str, notice_minutes: float, json: bool, **options: object) -> None:
        notice = timedelta(minutes=notice_minutes)
        action = operations.revoke_grader(self._grader(name), notice=notice)
        write_facts(self.stdout, action.parameters, json)
        self.stderr.write(f"{name} gets no submissions until 'rotate' gives it a new secret.")

    def list(self, **options: object) -> None:
        for grader in _graders().order_by("name"):
            self._show(grader)

    def codes(self, grader: str | None, json: bool, **options: object) -> None:
        rows = ReplyCodeCount.objects.select_related("grader").order_by("grader__name", "-count")
        for each in rows if grader is None else rows.filter(grader__name=grader):
            facts = {
                "grader": each.grader.name,
                "code": each.code,
                "count": each.count,
                "last_at": each.last_at and each.last_at.isoformat(timespec="seconds"),
            }
            write_facts(self.stdout, facts, json)

    def _grader(self, name: str) -> Grader:
        try:
            return _graders().get(name=name)
        except Grader.DoesNotExist:
            raise CommandError(f"There is no grader {name!r}.") from None

    def _show(self, grader: Any) -> None:
        queues = ", ".join(sorted(grant.queue_name for grant in grader.grants.all())) or "none"
        state = "" if grader.is_active else " (inactive)"
        state += "" if grader.has_secret else " (no secret)"
        state += "" if grader.may_pull or not grader.has_secret else " (pulls no more)"
        state += " (may submit)" if grader.may_submit else ""
        self.stdout.write(f"{grader.name}{state}: {queues}")


def _graders() -> QuerySet[Any]:
    """Return graders with their queues and whether a secret is valid; two statements."""
    secrets = GraderSecret.objects.filter(grader=OuterRef("pk"))
    living = secrets.exclude(expires_at__lte=database_now())
    return Grader.objects.annotate(has_secret=Exists(living)).prefetch_related("grants")


def _name(text: str) -> str:
    try:
        return check_name(text, "name")
    except InvalidField:
        message = f"{text!r} is not a name of 1 to 128 printable characters"
        raise ArgumentTypeError(message) from None


def _minutes(text: str) -> float:
    if not text.isdecimal() or int(text[:9]) > LONGEST_OVERLAP / timedelta(minutes=1):
        raise ArgumentTypeError(f"{text!r} is not a whole number of minutes, at most a year's")
    return int(text)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1
    if not 0 <= hours <= LONGEST_OVERLAP / timedelta(hours=1):
        raise ArgumentTypeError(f"{text!r} is not a number of hours, at most a year's")
    return hours
