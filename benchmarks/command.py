"""What the commands of all benchmarks have in common: the database to use, and Django's set-up."""

from __future__ import annotations

import argparse
import os


def argument_parser(docstring: str | None, default: str = "sqlite") -> argparse.ArgumentParser:
    """Return a parser with ``--database``, described by the first line of a docstring."""
    parser = argparse.ArgumentParser(description=(docstring or "").splitlines()[0])
    choices = ["sqlite", "postgres", "mariadb"]
    parser.add_argument("--database", choices=choices, default=default)
    return parser


def set_up(database: str, settings: str = "benchmarks.settings") -> None:
    """Set Django up with a database; models and ``benchmarks.database`` can be imported then."""
    os.environ["XQUEUE_BRIDGE_TEST_DB"] = database
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    import django

    django.setup()
