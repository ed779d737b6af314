"""Create graders, rotate their secrets, and say which queues they may use."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xqueue_bridge.external_grader import api as external_grader
from xqueue_bridge.models import Grader, QueueGrant


class Command(BaseCommand):
    help = "Manage the machines that grade. A secret is printed once, alone on standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        queue_help = "A queue it may use; may be repeated; '*' is every queue."

        create = actions.add_parser("create", help="Create a grader and print its secret.")
        create.add_argument("name")
        create.add_argument("--queue", action="append", default=[], help=queue_help)

        rotate = actions.add_parser("rotate", help="Print a new secret; the former one lives on.")
        rotate.add_argument("name")
        hours = external_grader.ROTATION_OVERLAP / timedelta(hours=1)
        rotate.add_argument(
            "--overlap-hours",
            type=float,
            default=hours,
            help=f"How long the former secret still works (default: {hours:g}).",
        )

        for action, text in (("grant", "Let a grader use a queue."), ("deny", "Undo a grant.")):
            change = actions.add_parser(action, help=text)
            change.add_argument("name")
            change.add_argument("--queue", action="append", required=True, help=queue_help)

        revoke = actions.add_parser("revoke", help="End a grader's secrets and sessions.")
        revoke.add_argument("name")
        actions.add_parser("list", help="List graders and their queues.")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, action)(**options)

    def create(self, name: str, queue: list[str], **options: Any) -> None:
        if Grader.objects.filter(name=name).exists():
            raise CommandError(f"There is a grader {name!r} already; 'rotate' gives a new secret.")
        self.stdout.write(external_grader.create_grader(name, queue))

    def rotate(self, name: str, overlap_hours: float, **options: Any) -> None:
        overlap = timedelta(hours=overlap_hours)
        self.stdout.write(external_grader.issue_secret(self._grader(name), overlap=overlap))

    def grant(self, name: str, queue: list[str], **options: Any) -> None:
        grader = self._grader(name)
        for queue_name in queue:
            QueueGrant.objects.get_or_create(grader=grader, queue_name=queue_name)
        self._show(grader)

    def deny(self, name: str, queue: list[str], **options: Any) -> None:
        grader = self._grader(name)
        grader.grants.filter(queue_name__in=queue).delete()
        self._show(grader)

    def revoke(self, name: str, **options: Any) -> None:
        grader = self._grader(name)
        grader.secrets.all().delete()
        self.stderr.write(f"{grader.name} cannot log in until 'rotate' gives it a new secret.")

    def list(self, **options: Any) -> None:
        for grader in Grader.objects.order_by("name").prefetch_related("grants"):
            self._show(grader)

    def _grader(self, name: str) -> Grader:
        try:
            return Grader.objects.get(name=name)
        except Grader.DoesNotExist:
            raise CommandError(f"There is no grader {name!r}.") from None

    def _show(self, grader: Grader) -> None:
        queues = ", ".join(sorted(grant.queue_name for grant in grader.grants.all())) or "none"
        state = "" if grader.is_active else " (inactive)"
        state += "" if grader.secrets.exists() else " (no secret)"
        self.stdout.write(f"{grader.name}{state}: {queues}")
