"""Findings about the installation itself: settings, database, storage, workers and sweeper."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from celery import current_app
from django.conf import settings
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import NotSupportedError

from xqueue_bridge import health
from xqueue_bridge.conf import options
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.doctor.finding import Finding
from xqueue_bridge.moving.legacy_table import ALIAS
from xqueue_bridge.worker import heartbeat
from xqueue_bridge.worker.enqueue import uses_celery

#: Seconds that Celery workers have to respond.
WORKER_SECONDS = 2.0
#: A sweeper records its heartbeat every ten seconds, a sweep by cron every minute.
SWEEPER_SILENT = timedelta(minutes=2)


def settings_of_host() -> Iterator[Finding]:
    """System checks of the app, with those for deployment and for the databases."""
    messages = checks.run_checks(
        tags=["xqueue_bridge", checks.Tags.database],
        include_deployment_checks=True,
        databases=[alias for alias in settings.DATABASES if alias != ALIAS],
    )
    ours = [each for each in messages if str(each.id).startswith("xqueue_bridge.")]
    for message in ours:
        is_info = message.level < checks.WARNING
        advice = "" if is_info else (message.hint or "see docs/references/settings.rst")
        text = f"{message.id}: {message.msg}"
        yield Finding("settings", text, advice, message.level >= checks.ERROR)
    if not any(message.level >= checks.WARNING for message in ours):
        yield Finding("settings", "no warnings")


def database() -> Iterator[Finding]:
    """Version and migrations."""
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        connection.check_database_version_supported()
    except NotSupportedError as exc:
        yield Finding("database", str(exc), "upgrade the database server", True)
    executor = MigrationExecutor(connection)
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "xqueue_bridge"]
    if plan := executor.migration_plan(targets):
        advice = "run: manage.py migrate xqueue_bridge"
        yield Finding("database", f"{len(plan)} migrations are missing", advice, True)
    else:
        yield Finding("database", f"{connection.vendor}, migrated")


def storage() -> Iterator[Finding]:
    """Write, read and delete a file where learners' files are stored."""
    if options().FILES_STORAGE_ALIAS not in settings.STORAGES:
        return  # the checks of the settings say so
    found = health.check_storage()
    if found == health.OK:
        yield Finding("storage", "a file was written, read and deleted")
    else:
        advice = "STORAGES['xqueue_bridge'] = a storage that this process can write and delete in"
        yield Finding("storage", found, advice, True)


def sweeper() -> Iterator[Finding]:
    """Whether a sweeper runs, and whether replies wait for one."""
    _name, is_healthy, message = health.health_check()
    advice = "run beside the web server: manage.py xqueue_bridge_sweep --forever"
    if not is_healthy:
        yield Finding("sweeper", message, advice, True)
        return
    seen = heartbeat.last_seen(heartbeat.SWEEPER)
    silent = None if seen is None else database_now() - seen
    if silent is None:
        yield Finding("sweeper", "it has never run", advice)
    elif silent > SWEEPER_SILENT:
        minutes = silent.total_seconds() / 60
        yield Finding("sweeper", f"it last ran {minutes:.0f} min ago", advice)
    else:
        yield Finding("sweeper", "it runs, and no reply is overdue")


def workers() -> Iterator[Finding]:
    """Whether Celery workers respond, if they apply replies."""
    if not uses_celery():
        yield Finding("workers", "replies are applied without Celery")
        return
    responding = len(current_app.control.ping(timeout=WORKER_SECONDS) or ())
    if responding:
        yield Finding("workers", f"{responding} respond")
    else:
        advice = "start a worker, or XQUEUE_BRIDGE['TASK_RUNNER'] = 'inline'"
        yield Finding("workers", "no Celery worker responds: the sweeper does all work", advice)
