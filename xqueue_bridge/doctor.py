"""Examination of an installation: what is wrong, and what to write where.

Each function yields the findings of one area, with a fixed number of statements and requests. What
cannot be examined is a finding, too.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import requests
from celery import current_app
from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import NotSupportedError
from django.urls import reverse

from xqueue_bridge import health
from xqueue_bridge.data import UploadedFile
from xqueue_bridge.lms.waffle import FLAG_NAME
from xqueue_bridge.moving import edx_submissions
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.worker.enqueue import uses_celery
from xqueue_bridge.xqueue_service.models import TransportOverride

#: Seconds to connect, and seconds between two parts of a response.
TIMEOUTS = (3.05, 5)
#: Seconds that Celery workers have to respond.
WORKER_SECONDS = 2.0
#: Seconds after which a waiting submission or a silent grader is a finding.
STALLED = 900


@dataclass(frozen=True)
class Finding:
    """One result; ``advice`` says what to write where, and is empty if all is well."""

    area: str
    text: str
    advice: str = ""
    is_error: bool = False


def examine(*, network: bool = True) -> Iterator[Finding]:
    """Yield the findings of all areas; ``network``: also those that need requests."""
    areas: list[Callable[[], Iterator[Finding]]] = [
        settings_of_host,
        database,
        storage,
        courses,
        graders,
        queues,
        replies,
        other_queues,
    ]
    if network:
        areas += [address, workers]
    for area in areas:
        try:
            yield from area()
        except Exception as exc:  # the message may hold an address with a password
            text = f"cannot be examined: {type(exc).__name__}"
            yield Finding(area.__name__, text, "see the log of the server it needs", True)


def settings_of_host() -> Iterator[Finding]:
    """System checks of the app, with those for deployment."""
    messages = checks.run_checks(tags=["xqueue_bridge"], include_deployment_checks=True)
    for message in messages:
        is_info = message.level < checks.WARNING
        advice = "" if is_info else (message.hint or "see docs/references/settings.rst")
        text = f"{message.id}: {message.msg}"
        yield Finding("settings", text, advice, message.level >= checks.ERROR)
    if not any(message.level >= checks.WARNING for message in messages):
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
    content = secrets.token_bytes(16)
    stored = files.store_file(UploadedFile("doctor", BytesIO(content), len(content)))
    try:
        with files.open_file(stored) as opened:
            is_same = opened.read() == content
    finally:
        undeleted = files.delete_files([stored])
    if not is_same or undeleted:
        advice = "STORAGES['xqueue_bridge'] = a storage that this process can write and delete in"
        yield Finding("storage", "a file was not read or not deleted", advice, True)
    else:
        yield Finding("storage", "a file was written, read and deleted")


def courses() -> Iterator[Finding]:
    """Which courses are switched by our overrides."""
    switched = TransportOverride.objects.filter(use_submissions_table=True).count()
    if switched:
        yield Finding("courses", f"{switched} overrides select the submissions table")
    else:
        text = f"no override selects the submissions table; the flag {FLAG_NAME} decides"
        yield Finding("courses", text)


def graders() -> Iterator[Finding]:
    """Accounts that can pull."""
    active = Grader.objects.filter(is_active=True, secrets__isnull=False).distinct().count()
    if active:
        yield Finding("graders", f"{active} accounts can log in")
    else:
        advice = "run: manage.py xqueue_bridge_grader create NAME --queue QUEUE"
        yield Finding("graders", "no account can log in", advice, True)


def queues() -> Iterator[Finding]:
    """Queues that nothing pulls from, and queues whose graders are silent."""
    for stats in submission_queue.queue_stats():
        area = f"queue {stats.queue_name}"
        waits = stats.oldest_seconds or 0
        if stats.waiting and not stats.graders:
            advice = f"run: manage.py xqueue_bridge_grader grant NAME --queue {stats.queue_name}"
            yield Finding(area, f"{stats.waiting} wait, and no grader may pull", advice, True)
        elif waits > STALLED:
            seen = stats.grader_seen_seconds
            silent = "never" if seen is None else f"{seen / 60:.0f} minutes ago"
            text = f"the oldest waits for {waits / 60:.0f} minutes; a grader was seen {silent}"
            yield Finding(
                area, text, "start the graders; see docs/how-tos/monitor_queues.rst", True
            )
        else:
            yield Finding(area, f"{stats.waiting} wait, {stats.leased} are being graded")
        if stats.failed:
            advice = "requeue or inspect them in the admin, Submissions, status failed"
            yield Finding(area, f"{stats.failed} failed in 24 hours", advice)


def replies() -> Iterator[Finding]:
    """Whether a sweeper runs."""
    _name, is_healthy, message = health.health_check()
    advice = "" if is_healthy else "run: manage.py xqueue_bridge_sweep --forever"
    yield Finding("replies", "none is overdue" if is_healthy else message, advice, not is_healthy)


def other_queues() -> Iterator[Finding]:
    """What is in flight in edx-submissions."""
    if not apps.is_installed("submissions"):
        return
    report = edx_submissions.drain_report()
    for course_id, counts in sorted(report.items()):
        figures = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        advice = f"run: manage.py xqueue_bridge_import_edx_submissions --course {course_id}"
        yield Finding("edx-submissions", f"{course_id}: {figures}", advice)
    if not report:
        yield Finding("edx-submissions", "0 in flight")


def address() -> Iterator[Finding]:
    """Whether graders reach this site at LMS_ROOT_URL."""
    root = getattr(settings, "LMS_ROOT_URL", None)
    if not root:
        return  # a system check reports it
    url = root.rstrip("/") + reverse("xqueue_bridge:status")
    try:
        response = requests.get(url, timeout=TIMEOUTS, allow_redirects=False)
        is_ours = response.status_code == 200 and response.json().get("content") == "OK"
    except (requests.RequestException, ValueError, AttributeError) as exc:
        text = f"{url} cannot be read: {type(exc).__name__}"
        yield Finding(
            "address", text, "LMS_ROOT_URL = the address of the site, as graders use it", True
        )
        return
    if is_ours:
        yield Finding("address", f"{url} responds")
    else:
        advice = "let the web server pass /xqueue/ on to the LMS, and not redirect it"
        yield Finding("address", f"{url}: status {response.status_code}", advice, True)


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
