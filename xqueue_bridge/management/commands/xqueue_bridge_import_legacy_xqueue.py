"""Import submissions from a legacy XQueue server's database, and report what is still there."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.files.storage import InvalidStorageError
from django.core.management.base import CommandError, CommandParser
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.management.arguments import positive_number
from xqueue_bridge.management.import_command import ImportCommand
from xqueue_bridge.moving import drain, legacy_table
from xqueue_bridge.moving.legacy_dump import LegacyDump
from xqueue_bridge.moving.legacy_files import LegacyFiles
from xqueue_bridge.moving.legacy_table import LegacyTable
from xqueue_bridge.moving.legacy_xqueue import LEASE, Plan, SameServer, import_rows


class Command(ImportCommand):
    help = "Import what is in flight in a legacy XQueue's database; its graders may go on running."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        source = parser.add_mutually_exclusive_group()
        source.add_argument(
            "--database",
            default=legacy_table.ALIAS,
            help=f"Its entry in DATABASES ({legacy_table.ALIAS}).",
        )
        source.add_argument("--dump", type=Path, help="A file of its dumpdata, instead.")
        parser.add_argument("--queue", action="append", default=[], help="Only this queue.")
        parser.add_argument(
            "--forward",
            action="append",
            default=[],
            metavar="QUEUE",
            help="Send this queue's rows to the server of LEGACY_XQUEUE_INTERFACE.",
        )
        parser.add_argument("--files-storage", metavar="ALIAS", help="Its entry in STORAGES.")
        parser.add_argument(
            "--lease-minutes",
            type=positive_number,
            default=LEASE.total_seconds() / 60,
            help="The server's SUBMISSION_PROCESSING_DELAY (1).",
        )
        parser.add_argument(
            "--post-results", action="store_true", help="Post results to the callback URLs."
        )
        parser.add_argument(
            "--unacknowledged",
            action="store_true",
            help="Also results that the server could not bring to the LMS.",
        )

    def handle(
        self,
        *args: object,
        database: str,
        dump: Path | None,
        course: CourseKey | None,
        queue: list[str],
        forward: list[str],
        files_storage: str | None,
        lease_minutes: float,
        limit: int,
        post_results: bool,
        unacknowledged: bool,
        dry_run: bool,
        json: bool,
        **options: object,
    ) -> None:
        plan = Plan(
            queues=frozenset(queue),
            course_key=course,
            forward=frozenset(forward),
            lease=timedelta(minutes=lease_minutes),
            limit=limit,
            post_results=post_results,
            unacknowledged=unacknowledged,
            files=_files(files_storage),
        )
        if dump is not None and forward:
            raise CommandError("--forward needs --database: rows of a dump are not forwarded.")
        source = _table(database) if dump is None else _dump(dump)
        done = Counter[str]() if dry_run else _run(source, plan)
        left = drain.legacy_report(source, plan.lease)
        self.report(drain.LEGACY_XQUEUE, done, left, course, as_json=json)


def _files(alias: str | None) -> LegacyFiles:
    try:
        return LegacyFiles(alias)
    except InvalidStorageError:
        raise CommandError("--files-storage names no entry of STORAGES.") from None


def _dump(path: Path) -> LegacyDump:
    try:
        return LegacyDump(path)
    except InvalidField as exc:
        raise CommandError(f"--dump {exc.reason}.") from None


def _table(alias: str) -> LegacyTable:
    if alias not in settings.DATABASES:
        raise CommandError(f"--database: DATABASES has no entry {alias!r}.")
    table = LegacyTable(alias)
    if not table.exists():
        raise CommandError(f"--database: {alias!r} has no table queue_submission.")
    return table


def _run(source: LegacyTable | LegacyDump, plan: Plan) -> Counter[str]:
    try:
        return import_rows(source, plan)
    except SameServer as exc:
        raise CommandError(str(exc)) from None
