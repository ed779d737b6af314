"""The host's own settings: what we need of them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connections
from django.urls import NoReverseMatch, reverse

from xqueue_bridge.checks.messages import warning
from xqueue_bridge.conf import options


def check_host(**kwargs: Any) -> list[checks.CheckMessage]:
    """The host's own settings hold what we need."""
    found: list[checks.CheckMessage] = []
    alias = options().FILES_STORAGE
    if not isinstance(alias, str):
        pass  # check_options says so
    elif alias not in settings.STORAGES:
        found.append(
            warning(
                "W001",
                f"STORAGES has no {alias!r}: answers with files will be refused.",
                f"STORAGES[{alias!r}] = {{'BACKEND': "
                "'django.core.files.storage.FileSystemStorage', 'OPTIONS': "
                "{'location': '/a/private/directory'}}",
            )
        )
    elif alias == "default" or settings.STORAGES[alias] == settings.STORAGES.get("default"):
        found.append(
            warning(
                "W002",
                f"STORAGES[{alias!r}] is the default storage, which is usually public.",
                f"STORAGES[{alias!r}] = ... of its own, in a private directory or bucket",
            )
        )
    interface = getattr(settings, "XQUEUE_INTERFACE", None) or {}
    if not interface.get("callback_url") and not getattr(settings, "LMS_ROOT_URL", None):
        found.append(
            warning(
                "W003",
                "Callback addresses have no host.",
                "LMS_ROOT_URL = 'https://lms.example.com'",
            )
        )
    try:
        reverse("xqueue_bridge:login")
    except NoReverseMatch:
        found.append(
            warning(
                "W004",
                "Graders cannot reach the bridge: its addresses are not in ROOT_URLCONF.",
                'urlpatterns += [path("", include("xqueue_bridge.urls"))]',
            )
        )
    return found


def check_databases(**kwargs: Any) -> list[checks.CheckMessage]:
    """SQLite takes its write lock when a transaction begins, not half way through."""
    found: list[checks.CheckMessage] = []
    for alias in kwargs.get("databases") or ():
        connection = connections[alias]
        mode = connection.settings_dict.get("OPTIONS", {}).get("transaction_mode", "")
        if connection.vendor == "sqlite" and str(mode).upper() != "IMMEDIATE":
            found.append(
                warning(
                    "W005",
                    f"Concurrent graders will meet 'database is locked' on {alias!r}.",
                    f"DATABASES[{alias!r}]['OPTIONS'] = {{'transaction_mode': 'IMMEDIATE', "
                    "'timeout': 20, 'init_command': 'PRAGMA journal_mode=WAL;'}",
                )
            )
    return found


def check_deployment(**kwargs: Any) -> list[checks.CheckMessage]:
    """A connection for each request halves what graders can do in a second."""
    return [
        warning(
            "W006",
            f"A new connection to {alias!r} is made for every request.",
            f"DATABASES[{alias!r}]['CONN_MAX_AGE'] = 600",
        )
        for alias, database in settings.DATABASES.items()
        if not database["ENGINE"].endswith("sqlite3")
        and database.get("CONN_MAX_AGE", 0) == 0
        and not database.get("OPTIONS", {}).get("pool")  # it keeps them, and allows no other age
    ]
