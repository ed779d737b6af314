"""Examine the installation, and say for each finding what to write where."""

from __future__ import annotations

import sys

from django.core.management.base import BaseCommand, CommandParser

from xqueue_bridge import doctor


class Command(BaseCommand):
    help = "Examine settings, database, storage, courses, graders, queues, address and workers."
    requires_system_checks: list[str] = []  # the doctor reports them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-network", action="store_true", help="Send no requests.")

    def handle(self, *args: object, no_network: bool, **options: object) -> None:
        failed = False
        for finding in doctor.examine(network=not no_network):
            mark = "ERROR" if finding.is_error else "check" if finding.advice else "ok"
            self.stdout.write(f"{mark:<6} {finding.area}: {finding.text}")
            if finding.advice:
                self.stdout.write(f"       -> {finding.advice}")
            failed = failed or finding.is_error
        if failed:
            sys.exit(1)
