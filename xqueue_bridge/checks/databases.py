"""Checks of the host's databases: locking, isolation, character sets and persistent connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from xqueue_bridge.checks.columns import wrong_text_columns
from xqueue_bridge.checks.messages import error, warning

#: The isolation level that the package's conditional updates and repeated reads are written for.
READ_COMMITTED = "READ COMMITTED"


@checks.register(checks.Tags.database)
def check_databases(
    databases: Sequence[str] | None = None, **kwargs: object
) -> list[checks.CheckMessage]:
    """Check each database of ``check --database`` that stores the bridge's tables."""
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if not _has_our_tables(alias):
            continue
        if connection.vendor == "sqlite":
            found += _wrong_transaction_mode(connection)
        elif connection.vendor == "mysql":
            found += [*_wrong_isolation(connection), *_wrong_character_sets(connection)]
        elif connection.vendor == "postgresql":
            found += _wrong_isolation(connection)
        found += _missing_legacy_server(alias)
    return found


@checks.register("xqueue_bridge", deploy=True)
def check_deployment(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that connections persist, and that a lost one is noticed before it is used."""
    from xqueue_bridge.moving import legacy_table

    found: list[checks.CheckMessage] = []
    for alias, database in settings.DATABASES.items():
        if alias == legacy_table.ALIAS:
            continue  # only commands use it
        if database["ENGINE"].endswith("sqlite3") or database.get("OPTIONS", {}).get("pool"):
            continue  # a pool keeps and tests connections itself
        line = f"DATABASES[{alias!r}]['CONN_HEALTH_CHECKS'] = True"
        if database.get("CONN_MAX_AGE", 0) == 0:
            text = f"A new connection to {alias!r} is made for every request."
            found.append(
                warning("W006", text, f"DATABASES[{alias!r}]['CONN_MAX_AGE'] = 600, and {line}")
            )
        elif not database.get("CONN_HEALTH_CHECKS", False):
            text = f"A connection to {alias!r} that the server has closed is found by an error."
            found.append(warning("W008", text, line))
    return found


def _has_our_tables(alias: str) -> bool:
    models = apps.get_app_config("xqueue_bridge").get_models()
    return any(router.allow_migrate_model(alias, model) for model in models)


def _missing_legacy_server(alias: str) -> Iterator[checks.CheckMessage]:
    """Yield a warning if an override needs a legacy XQueue server that is not configured."""
    from xqueue_bridge.xqueue_service.api import has_legacy_server
    from xqueue_bridge.xqueue_service.models import TransportOverride

    if has_legacy_server() or router.db_for_read(TransportOverride) != alias:
        return
    try:
        override = TransportOverride.objects.filter(use_submissions_table=False).first()
    except DatabaseError:  # before the first migrate
        return
    if override is not None:
        yield warning(
            "W009",
            f"The transport override {str(override)!r} needs a legacy XQueue server, and none is "
            "configured: answers cannot be sent.",
            "XQUEUE_INTERFACE = {'url': 'https://...', ...}, or delete the override",
        )


def _wrong_transaction_mode(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    """Yield a warning if SQLite does not take its write lock when a transaction begins."""
    alias = connection.alias
    mode = connection.settings_dict.get("OPTIONS", {}).get("transaction_mode", "")
    if str(mode).upper() != "IMMEDIATE":
        yield warning(
            "W005",
            f"Concurrent graders will meet 'database is locked' on {alias!r}.",
            f"DATABASES[{alias!r}]['OPTIONS'] = {{'transaction_mode': 'IMMEDIATE', "
            "'timeout': 20, 'init_command': 'PRAGMA journal_mode=WAL;'}",
        )


def _wrong_isolation(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    """Yield an error if a transaction would read old rows after another one has committed."""
    if connection.vendor == "postgresql":
        statement, example = "SHOW transaction_isolation", "remove 'isolation_level' from"
    else:
        # MySQL 8 has the one name only, and MariaDB before 11.1 the other.
        name = "tx_isolation" if getattr(connection, "mysql_is_mariadb", False) else None
        statement = f"SELECT @@{name or 'transaction_isolation'}"
        example = "'isolation_level': 'read committed' in"
    with connection.cursor() as cursor:
        cursor.execute(statement)
        (level,) = cursor.fetchone()
    level = str(level).replace("-", " ").upper()
    if level != READ_COMMITTED:
        yield error(
            "E014",
            f"Transactions of {connection.alias!r} are {level}, not {READ_COMMITTED}: "
            "grades can be computed from old scores.",
            f"{example} DATABASES[{connection.alias!r}]['OPTIONS']",
        )


def _wrong_character_sets(connection: BaseDatabaseWrapper) -> Iterator[checks.CheckMessage]:
    """Yield an error if the connection, the database or a column cannot hold each character."""
    alias = connection.alias
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@character_set_connection, @@character_set_database")
        of_connection, of_database = cursor.fetchone()
    if of_connection != "utf8mb4":
        yield error(
            "E015",
            f"The connection to {alias!r} uses {of_connection}: each emoji in an answer fails.",
            f"DATABASES[{alias!r}]['OPTIONS']['charset'] = 'utf8mb4'",
        )
    if of_database != "utf8mb4":
        yield error(
            "E015",
            f"New tables of the database {alias!r} are {of_database}: an emoji in an answer fails.",
            "ALTER DATABASE ... CHARACTER SET utf8mb4, before 'manage.py migrate'",
        )
    yield from wrong_text_columns(connection)
