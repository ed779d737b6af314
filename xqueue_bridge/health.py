"""Whether the parts that the bridge needs work: for the platform's heartbeat, and for a URL."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from celery import current_app
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from xqueue_bridge.cache import BestEffortCache, is_cache_down
from xqueue_bridge.conf import options
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.views.decorators import has_bearer_token, token_required
from xqueue_bridge.worker import heartbeat
from xqueue_bridge.worker.enqueue import uses_celery

log = logging.getLogger(__name__)

NAME = "xqueue_bridge"
#: A reply that is overdue for this long has no sweeper that would try it.
OVERDUE = timedelta(minutes=15)
#: A sweeper that is idle runs every few seconds.
SWEEPER_SILENT = timedelta(minutes=5)
#: Seconds that the broker has to respond.
BROKER_SECONDS = 3.0
#: Seconds for which a process repeats its last result, so that requests cause no more work.
RESULT_SECONDS = 10.0

OK = "OK"


def health_check() -> tuple[str, bool, str]:
    """Return name, whether the app works, and a message; for HEARTBEAT_EXTENDED_CHECKS.

    Makes one statement. Fails if the tables cannot be read, or if replies are not applied because
    no sweeper runs.
    """
    try:
        latest = database_now() - OVERDUE
        is_overdue = ReceivedReply.objects.filter(next_attempt_at__lt=latest).exists()
    except DatabaseError as exc:
        return NAME, False, f"The tables cannot be read: {type(exc).__name__}"
    if is_overdue:
        return NAME, False, "Replies are overdue: is xqueue_bridge_sweep running?"
    return NAME, True, OK


def examine() -> dict[str, str]:
    """Return for each part "OK", or what is wrong, without addresses and secrets."""
    parts: dict[str, Callable[[], str]] = {
        "database": _database,
        "cache": _cache,
        "storage": check_storage,
        "broker": _broker,
        "sweeper": _sweeper,
    }
    return {name: _tried(part) for name, part in parts.items()}


def check_storage() -> str:
    """Write, read and delete a file where learners' files are stored; return "OK" or the fault."""
    storage, content = storages[options().FILES_STORAGE_ALIAS], secrets.token_bytes(16)
    # Not in a folder, which would remain.
    name = storage.save("xqueue_bridge_check", ContentFile(content))
    try:
        with storage.open(name) as file:
            is_same = file.read() == content
    finally:
        storage.delete(name)
    return OK if is_same else "a file has other content than was written"


class _LastResult:
    """The result of this process's last examination, and when it was made."""

    lock = threading.Lock()
    made_at = -RESULT_SECONDS
    parts: dict[str, str] = {}


@require_GET
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    """Return what is down as JSON: 200 if all parts work, else 503.

    For staff of the host, and for who sends ``Authorization: Bearer`` with ``HEALTH_TOKEN``;
    401 for others, because each examination writes a file.
    """
    if not _may_see(request):
        return token_required("health")
    with _LastResult.lock:
        if time.monotonic() - _LastResult.made_at >= RESULT_SECONDS:
            _LastResult.parts = examine()
            _LastResult.made_at = time.monotonic()
        parts = _LastResult.parts
    is_healthy = all(each == OK for each in parts.values())
    return JsonResponse(parts, status=200 if is_healthy else 503)


def _may_see(request: HttpRequest) -> bool:
    if has_bearer_token(request, options().HEALTH_TOKEN):
        return True
    # Reading the user reads the database, which may be down.
    with suppress(DatabaseError, InterfaceError):
        user = getattr(request, "user", None)
        return bool(getattr(user, "is_active", False) and getattr(user, "is_staff", False))
    return False


def _tried(part: Callable[[], str]) -> str:
    try:
        return part()
    except Exception as exc:  # libraries of storages and brokers; messages may hold passwords
        return f"is down: {type(exc).__name__}"


def _database() -> str:
    Submission.objects.values_list("pk").first()
    return OK


def _cache() -> str:
    BestEffortCache().get("xqueue_bridge.health")
    return "is down; the queue works without it" if is_cache_down() else OK


def _broker() -> str:
    if not uses_celery():
        return OK
    with current_app.connection_for_write(connect_timeout=BROKER_SECONDS) as connection:
        connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    return OK


def _sweeper() -> str:
    _name, is_working, message = health_check()
    if not is_working:
        return message
    seen = heartbeat.last_seen(heartbeat.SWEEPER)
    if seen is None or seen < database_now() - SWEEPER_SILENT:
        return "has not run in the last five minutes"
    return OK
