"""Check of text columns on MySQL and MariaDB: their character sets and collations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core import checks
from django.db.backends.base.base import BaseDatabaseWrapper

from xqueue_bridge.checks.messages import error

#: Columns that a message names.
_NAMED = 5


def wrong_text_columns(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    """Yield an error for columns that cannot hold each character, and one for those without case.

    The hints have the statements that correct them. ``CONVERT TO CHARACTER SET`` would make each
    column of a table ignore case, also those of keys and names.
    """
    narrow: dict[str, str] = {}
    without_case: dict[str, str] = {}
    known = _columns(connection)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, character_set_name, collation_name FROM"
            " information_schema.columns WHERE table_schema = DATABASE()"
            " AND character_set_name IS NOT NULL ORDER BY table_name, ordinal_position"
        )
        for table, column, character_set, collation in cursor.fetchall():
            if (table, column) not in known:
                continue
            wanted, definition = known[table, column]
            names = map(connection.ops.quote_name, (table, column))
            statement = "ALTER TABLE {} MODIFY {} {};".format(*names, definition)
            if character_set != "utf8mb4":
                narrow[f"{table}.{column}"] = statement
            elif wanted not in (None, collation):
                without_case[f"{table}.{column}"] = statement
    alias = connection.alias
    if narrow:
        text = f"Each emoji in an answer fails: not utf8mb4 in {alias!r} are {_names(narrow)}."
        yield error("E015", text, _statements(narrow))
    if without_case:
        text = f"Names that differ in case are one in {alias!r}: {_names(without_case)}."
        yield error("E022", text, _statements(without_case))


def _columns(connection: BaseDatabaseWrapper) -> dict[tuple[str, str], tuple[str | None, str]]:
    """Return the wanted collation and the definition of each column, by table and column."""
    found: dict[tuple[str, str], tuple[str | None, str]] = {}
    for model in apps.get_app_config("xqueue_bridge").get_models():
        fields: list[Any] = list(model._meta.local_concrete_fields)
        for field in fields:
            parameters = field.db_parameters(connection)
            kind, collation = parameters["type"], parameters.get("collation")
            # MariaDB's JSON is a utf8mb4 text with a constraint, which a character set would drop.
            parts = [kind, *([] if kind == "json" else ["CHARACTER SET utf8mb4"])]
            parts += [f"COLLATE {collation}"] if collation else []
            parts += ["NULL" if field.null else "NOT NULL"]
            found[model._meta.db_table, field.column] = collation, " ".join(parts)
    return found


def _names(columns: dict[str, str]) -> str:
    more = len(columns) - _NAMED
    names = ", ".join(list(columns)[:_NAMED])
    return f"{names} and {more} more" if more > 0 else names


def _statements(columns: dict[str, str]) -> str:
    return "\n".join(["SET FOREIGN_KEY_CHECKS = 0;", *columns.values()])
