"""Move history to the other table or to another database."""

from __future__ import annotations

from argparse import ArgumentTypeError

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections, router

from xqueue_bridge.learner_state.history import move
from xqueue_bridge.learner_state.history.store import Table, tables
from xqueue_bridge.management.progress import Progress
from xqueue_bridge.models import StudentModuleHistory, StudentModuleHistoryExtended

_TABLES: dict[str, Table] = {
    "plain": StudentModuleHistory,
    "extended": StudentModuleHistoryExtended,
}


class Command(BaseCommand):
    help = (
        "Move history entries to the other table or database while the site runs. TABLE is 'plain' "
        "or 'extended', with '@' and a database alias if it is not the router's choice. By "
        "default, from the table that is no longer written to the one that is. Can be interrupted "
        "and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="source", type=_history_table, metavar="TABLE")
        parser.add_argument("--to", dest="target", type=_history_table, metavar="TABLE")
        parser.add_argument(
            "--chunk",
            type=int,
            default=move.CHUNK,
            metavar="N",
            help=f"Entries in one transaction (default: {move.CHUNK}).",
        )
        parser.add_argument("--dry-run", action="store_true", help="Count, but move nothing.")
        parser.add_argument("--no-progress", action="store_true", help="Print the result only.")

    def handle(
        self,
        *args: object,
        source: move.HistoryTable | None,
        target: move.HistoryTable | None,
        chunk: int,
        no_progress: bool,
        **options: object,
    ) -> None:
        unwritten, written = (_routed(table) for table in tables())
        source, target = source or unwritten, target or written
        if source == target:
            raise CommandError(f"--from and --to are both {source}.")
        if not 1 <= chunk <= 5_000:
            raise CommandError("--chunk: between 1 and 5000.")
        if options["dry_run"]:
            self.stdout.write(f"{source.entries.count()} entries to move from {source} to {target}")
            return
        at = move.MoveProgress()
        try:
            last = move.last_entry(source)
            progress = Progress(self.stderr, last, quiet=no_progress)
            for at in move.move(source, target, chunk=chunk):
                progress.update(at.pk, f"{at.moved} entries moved")
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted: {at.moved} entries moved. Run it again.") from None
        except move.CopyDiffers as exc:
            raise CommandError(
                f"{at.moved} entries moved; the copy of the next one differs: {exc}"
            ) from None
        self.stdout.write(f"{at.moved} entries moved from {source} to {target}")
        if source.entries.exists():
            self.stdout.write(
                f"{source} still has entries. Run it again; if they increase, it is still written."
            )


def _history_table(text: str) -> move.HistoryTable:
    name, _, alias = text.partition("@")
    if name not in _TABLES:
        raise ArgumentTypeError(f"{name!r} is neither 'plain' nor 'extended'")
    if alias and alias not in connections:
        raise ArgumentTypeError(f"{alias!r} is not in DATABASES")
    return move.HistoryTable(_TABLES[name], alias) if alias else _routed(_TABLES[name])


def _routed(table: Table) -> move.HistoryTable:
    return move.HistoryTable(table, router.db_for_write(table))
