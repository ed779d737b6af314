"""The commands that prune and move history, called with an operator's arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.utils import timezone

from tests.commands import output_of
from tests.learner_state.history_factories import (
    EXTENDED,
    PLAIN,
    TO_EXTENDED,
    TWO_DATABASES,
    fill,
    identities,
    make_row,
)
from xqueue_bridge.learner_state.history import move, prune

pytestmark = pytest.mark.django_db

PRUNE, MOVE = "xqueue_bridge_prune_history", "xqueue_bridge_move_history"
ROOT = Path(__file__).parent.parent.parent


class TestPrune:
    def test_keep_last_deletes_all_but_the_newest(self):
        """SG33: keep the newest ten entries; delete nothing in a second run."""
        fill(PLAIN, 1, range(1, 51))
        assert output_of(PRUNE, "--keep-last", "10", "--dry-run") == "40 entries would be deleted"
        assert output_of(PRUNE, "--keep-last", "10") == "40 entries deleted"
        assert output_of(PRUNE, "--keep-last", "10") == "0 entries deleted"

    def test_keep_days_deletes_older_entries(self):
        fill(PLAIN, 1, [1, 2, 3], created=timezone.now() - timedelta(days=9))
        fill(PLAIN, 1, [4, 5], created=timezone.now() - timedelta(days=1))
        assert output_of(PRUNE, "--keep-days", "5") == "3 entries deleted"
        assert identities(PLAIN) == [(1, 4), (1, 5)]

    def test_start_skips_rows_above_it(self):
        for row in (1, 2, 3):
            fill(PLAIN, row, [1, 2])
        assert output_of(PRUNE, "--keep-last", "1", "--start", "2") == "2 entries deleted"
        assert identities(PLAIN) == [(1, 2), (2, 2), (3, 1), (3, 2)]

    def test_orphans_deletes_history_of_deleted_rows(self):
        long_ago = timezone.now() - timedelta(days=1)
        row = make_row().pk
        fill(PLAIN, row, [1, 2], created=long_ago)
        fill(PLAIN, row + 1, [1, 2], created=long_ago)
        assert output_of(PRUNE, "--orphans") == "2 entries of deleted rows deleted"
        assert output_of(PRUNE, "--orphans", "--keep-last", "1").splitlines() == [
            "1 entries deleted",
            "0 entries of deleted rows deleted",
        ]

    def test_orphans_is_an_error_with_history_keep_after_delete(self, settings):
        settings.XQUEUE_BRIDGE = {"HISTORY_KEEP_AFTER_DELETE": True}
        with pytest.raises(CommandError, match="HISTORY_KEEP_AFTER_DELETE"):
            output_of(PRUNE, "--orphans")

    @pytest.mark.parametrize(
        "args",
        [
            [],
            ["--dry-run"],
            ["--keep-last", "0"],
            ["--keep-days", "-1"],
            ["--keep-days", "800000"],
            ["--keep-days", "999999999999"],
            ["--start", "x"],
        ],
    )
    def test_missing_or_invalid_limits_are_errors(self, args):
        fill(PLAIN, 1, [1, 2])
        with pytest.raises(CommandError):
            output_of(PRUNE, *args)
        assert len(identities(PLAIN)) == 2

    def test_interrupted_prune_prints_where_to_continue(self, monkeypatch):
        """SG33: print the row at which the next run continues and finishes."""
        monkeypatch.setattr(prune, "PAGE", 10)
        monkeypatch.setattr(prune, "CHUNK", 5)
        for row in range(1, 11):
            fill(PLAIN, row, range(1, 11))
        real, calls = prune._Doomed.delete, []

        def interrupted(*args):
            calls.append(1)
            if len(calls) == 9:
                raise KeyboardInterrupt
            return real(*args)

        monkeypatch.setattr(prune._Doomed, "delete", interrupted)
        with pytest.raises(CommandError, match=r"continue with --start \d+$") as stopped:
            output_of(PRUNE, "--keep-last", "1")
        row = str(stopped.value).split()[-1]
        output_of(PRUNE, "--keep-last", "1", "--start", row)
        assert identities(PLAIN) == [(row, 10) for row in range(1, 11)]


class TestMove:
    def test_move_without_options_goes_to_the_written_table(self, settings):
        settings.XQUEUE_BRIDGE = TO_EXTENDED
        fill(PLAIN, 1, [1, 2, 3])
        table = EXTENDED._meta.db_table
        assert output_of(MOVE, "--dry-run").startswith("3 entries to move from ")
        assert output_of(MOVE).endswith(f"to {table} in 'default'")
        assert identities(EXTENDED) == [(1, 1), (1, 2), (1, 3)]
        assert output_of(MOVE).startswith("0 entries moved")

    def test_entries_move_back_to_the_plain_table(self, settings):
        settings.XQUEUE_BRIDGE = {}
        fill(EXTENDED, 1, [1, 2, 3])
        assert output_of(MOVE, "--chunk", "2").startswith("3 entries moved")
        assert identities(PLAIN) == [(1, 1), (1, 2), (1, 3)]

    @pytest.mark.django_db(databases=["default", "history"], transaction=True)
    def test_tables_are_selected_by_name_and_alias(self, settings):
        fill(EXTENDED, 1, [1, 2])
        output_of(MOVE, "--from", "extended", "--to", "extended@history")
        assert identities(EXTENDED, "history") == [(1, 1), (1, 2)]
        settings.XQUEUE_BRIDGE = TWO_DATABASES
        output_of(MOVE, "--from", "extended", "--to", "plain")
        assert identities(PLAIN) == [(1, 1), (1, 2)]

    @pytest.mark.parametrize(
        "args",
        [
            ["--from", "old", "--to", "plain"],
            ["--from", "plain@nowhere", "--to", "plain"],
            ["--from", "plain", "--to", "plain"],
            ["--from", "plain", "--to", "plain@default"],
            ["--chunk", "0"],
            ["--chunk", "100000"],
        ],
    )
    def test_unknown_table_or_alias_is_an_error(self, args):
        with pytest.raises(CommandError):
            output_of(MOVE, *args)

    def test_source_with_new_entries_prints_a_hint(self, monkeypatch):
        fill(EXTENDED, 1, [1, 2])
        real = move._delete
        monkeypatch.setattr(move, "_delete", lambda *args: (fill(EXTENDED, 2, [1]), real(*args))[1])
        assert "it is still written" in output_of(MOVE)
        assert identities(EXTENDED) == [(2, 1)]

    def test_interrupted_move_prints_how_many_were_moved(self, monkeypatch):
        fill(EXTENDED, 1, [1, 2, 3])
        real, calls = move._copy, []

        def interrupted(*args):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            real(*args)

        monkeypatch.setattr(move, "_copy", interrupted)
        with pytest.raises(CommandError, match="1 entries moved. Run it again"):
            output_of(MOVE, "--chunk", "1")
        assert output_of(MOVE).startswith("2 entries moved")

    def test_copy_that_differs_is_an_error(self):
        fill(EXTENDED, 1, [1])
        fill(PLAIN, 1, [1], state="something else")
        with pytest.raises(CommandError, match="version 1 of row 1"):
            output_of(MOVE)
        assert identities(EXTENDED) == identities(PLAIN) == [(1, 1)]


def test_history_moves_between_two_databases(tmp_path):
    """SG32, SG90: migrate by the router, write, and move entries there and back."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "demo.settings",
        "XQUEUE_BRIDGE_DEMO_VAR": str(tmp_path),
        "XQUEUE_BRIDGE_DEMO_TWO_DATABASES": "1",
    }

    done = subprocess.run(
        [sys.executable, "-c", _STORY],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    versions, tables, back, forth = done.stdout.splitlines()
    assert (versions, tables) == ("[1]", "['xqueue_bridge_studentmodulehistoryextended']")
    assert back.startswith("1 entries moved")
    assert forth.startswith("1 entries moved")


_STORY = """
import sys
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from tests.learner_state.history_factories import BLOCK, COURSE
from xqueue_bridge import api
call_command("migrate", verbosity=0)
call_command("migrate", verbosity=0, database="history")
call_command("check", stdout=sys.stderr, fail_level="WARNING", databases=["default", "history"])
ada = User.objects.create_user("ada").pk
api.save_fields(ada, COURSE, BLOCK, {"n": 1})
print([entry.version for entry in api.read_history(ada, BLOCK, COURSE)])
tables = connections["history"].introspection.table_names()
print([name for name in tables if not name.startswith("django_")])
call_command("xqueue_bridge_move_history", "--from", "extended", "--to", "plain")
call_command("xqueue_bridge_move_history")
"""
