"""Grader accounts: secrets, queue grants and sessions.

A secret is 256 random bits, so a fast keyed hash protects it. A grader that logs in before
every poll costs one indexed query.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.utils.crypto import constant_time_compare, salted_hmac

from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.conf import options
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.protocol.fields import check_name, is_valid_text
from xqueue_bridge.submission_queue.grader_models import (
    Grader,
    GraderSecret,
    QueueGrant,
    RevokedSession,
)

#: How long the former secret stays valid beside the new one by default.
ROTATION_OVERLAP = timedelta(hours=24)

#: A failed login is written down at most once in this time, for each grader.
FAILURE_INTERVAL = timedelta(minutes=1)

#: A grader's requests are written down at most once in this time.
SEEN_INTERVAL = timedelta(minutes=1)

#: A process remembers sessions for this time, so that most requests do not call the cache.
MEMORY_SECONDS = 2.0
#: Sessions that a process remembers; then it clears all of them.
MAX_MEMORY = 1000

_cache = BestEffortCache()
#: Session id -> the monotonic time at which the entry ends, and the principal.
_memory: dict[str, tuple[float, Principal]] = {}
_SALT = "xqueue_bridge.grader_secret"


@dataclass(frozen=True)
class Principal:
    """A logged-in grader and the queues it may use."""

    grader_id: int
    secret_id: int
    queue_names: frozenset[str]
    #: May send submissions to /xqueue/submit/.
    may_submit: bool = False
    #: Else its queues are empty for it, and it returns the results of what it holds.
    may_pull: bool = True

    def may_use(self, queue_name: str) -> bool:
        """Return whether this grader may pull submissions from the queue and post results to it."""
        return bool({queue_name.strip(), QueueGrant.EVERY_QUEUE} & self.queue_names)

    def submissions_among(self) -> dict[str, frozenset[str]]:
        """Return the columns, and their values, of the submissions this grader may access."""
        if QueueGrant.EVERY_QUEUE in self.queue_names:
            return {}
        return {"queue_name": self.queue_names}

    def submissions_filter(self) -> Q:
        """Return the filter that selects these submissions."""
        return Q(**{f"{name}__in": some for name, some in self.submissions_among().items()})


@dataclass(frozen=True)
class QueueGraders:
    """The graders that may use a queue: how many, and when one of them was last seen."""

    count: int = 0
    last_seen_at: datetime | None = None

    def __add__(self, other: QueueGraders) -> QueueGraders:
        seen = [each.last_seen_at for each in (self, other) if each.last_seen_at]
        return QueueGraders(self.count + other.count, max(seen, default=None))


def create_grader(name: str, queue_names: Iterable[str] = (), *, may_submit: bool = False) -> str:
    """Create a grader that may use these queues ("*": all); return its secret, shown only once.

    Names lose the white space around them. Raise InvalidField if one is not a name, and
    IntegrityError if the grader's name is taken.
    """
    name = check_name(name, "name")
    granted = {check_name(queue_name, "queue_name") for queue_name in queue_names}
    with transaction.atomic():
        grader = Grader.objects.create(name=name, may_submit=may_submit)
        QueueGrant.objects.bulk_create(
            QueueGrant(grader=grader, queue_name=queue_name) for queue_name in granted
        )
        return issue_secret(grader)


def issue_secret(grader: Grader, *, overlap: timedelta = timedelta(0)) -> str:
    """Create a new secret for the grader and return it.

    The newest former secret stays valid for ``overlap``; all older ones expire now. A grader that
    was revoked may pull again.
    """
    secret = secrets.token_urlsafe(32)
    now = database_now()
    with transaction.atomic():
        live = _live_secrets().filter(grader=grader).order_by("-pk")
        former = live.first()
        live.update(expires_at=now)
        if former is not None:
            GraderSecret.objects.filter(pk=former.pk).update(expires_at=now + overlap)
        GraderSecret.objects.create(grader=grader, digest=_digests(secret)[0])
        Grader.objects.filter(pk=grader.pk, may_pull=False).update(may_pull=True)
    return secret


def end_access(grader: Grader, notice: timedelta) -> None:
    """Let a grader pull nothing more, and let its secrets expire when the notice has passed.

    Three statements, and one call to the cache for each secret.
    """
    until = database_now() + notice
    secrets_of_grader = _live_secrets().filter(grader=grader)
    ids = list(secrets_of_grader.values_list("pk", flat=True))
    Grader.objects.filter(pk=grader.pk).update(may_pull=False)
    sooner = Q(expires_at=None) | Q(expires_at__gt=until)
    GraderSecret.objects.filter(sooner, pk__in=ids).update(expires_at=until)
    for pk in ids:
        transaction.on_commit(partial(_cache.delete, _principal_key(pk)))


def authenticate(name: str, secret: str) -> Principal | None:
    """Return the grader's principal if name and secret match, else None."""
    if not (is_valid_text(name) and is_valid_text(secret)):  # JSON values may not be text
        return None
    found = (
        _live_secrets()
        .filter(digest__in=_digests(secret))
        .values_list("pk", "grader__name")
        .first()
    )
    if found is None or not constant_time_compare(found[1], name.strip()):
        return None
    principal = _cache.get(_principal_key(found[0]))
    return principal if isinstance(principal, Principal) else _load_principal(found[0])


def record_failed_login(name: str) -> int | None:
    """Write down that a login with this name failed; return the grader's id, None if unknown.

    Two statements; one if there is no such grader, or if its last failure is younger than
    FAILURE_INTERVAL.
    """
    if not is_valid_text(name):
        return None
    now = database_now()
    found = Grader.objects.filter(name=name).values_list("pk", "last_failed_login_at").first()
    if found is None:
        return None
    grader_id, last = found
    if last is None or last < now - FAILURE_INTERVAL:
        Grader.objects.filter(pk=grader_id).update(last_failed_login_at=now)
    return int(grader_id)


def find_session(secret_id: int, session_id: str) -> Principal | None:
    """Return the principal of a session; None if it was logged out, or if its secret has expired.

    Remembered by the process for MEMORY_SECONDS, and cached for GRADER_CACHE_SECONDS, so a revoked
    grader keeps access for the sum of both at most. One call to the cache, none if remembered.
    """
    now = time.monotonic()
    until, principal = _memory.get(session_id, (now, None))
    if now < until:
        return principal
    seconds = options().GRADER_CACHE_SECONDS
    keys = _principal_key(secret_id), _revoked_key(session_id)
    principal, is_revoked = map(_cache.get_many(keys).get, keys)
    if is_revoked is None:
        is_revoked = RevokedSession.objects.filter(pk=session_id).exists()
        _cache.set(keys[1], is_revoked, seconds)
    if is_revoked:
        return None
    if not isinstance(principal, Principal):
        principal = _load_principal(secret_id)
    if principal is not None:
        if len(_memory) >= MAX_MEMORY:
            _memory.clear()
        _memory[session_id] = now + min(MEMORY_SECONDS, seconds), principal
    return principal


def revoke_session(session_id: str) -> None:
    """Revoke one session of a grader; its other sessions stay valid."""
    RevokedSession.objects.bulk_create(
        [RevokedSession(session_id=session_id)], ignore_conflicts=True
    )
    _cache.set(_revoked_key(session_id), True, options().GRADER_CACHE_SECONDS)
    _memory.pop(session_id, None)


def graders_by_queue() -> dict[str, QueueGraders]:
    """Return the graders of each queue with a grant; "*" has those of every queue.

    Only active graders with a valid secret that may pull are counted. One statement.
    """
    found: dict[str, QueueGraders] = {}
    grants = QueueGrant.objects.filter(
        Exists(_live_secrets().filter(grader=OuterRef("grader"))),
        grader__is_active=True,
        grader__may_pull=True,
    )
    rows = grants.order_by().values("queue_name")
    for row in rows.annotate(count=Count("pk"), last_seen_at=Max("grader__last_seen_at")):
        found[row["queue_name"]] = QueueGraders(row["count"], row["last_seen_at"])
    return found


def graders_of(queue_name: str) -> int:
    """Return how many graders may use a queue; one statement."""
    graders = graders_by_queue()
    names = (queue_name.strip(), QueueGrant.EVERY_QUEUE)
    return sum((graders.get(name, QueueGraders()) for name in names), QueueGraders()).count


def clear_expired_sessions() -> int:
    """Delete RevokedSession rows whose cookies have expired; return their number."""
    expired = database_now() - timedelta(seconds=options().SESSION_SECONDS)
    return RevokedSession.objects.filter(revoked_at__lt=expired).delete()[0]


def _load_principal(secret_id: int) -> Principal | None:
    """Read and cache a principal, and write that its grader was seen: once in SEEN_INTERVAL."""
    secrets_of_id = _usable_secrets().filter(pk=secret_id)
    found = secrets_of_id.values_list(
        "grader_id", "grader__last_seen_at", "grader__may_submit", "grader__may_pull"
    ).first()
    if found is None:
        return None
    (grader_id, last_seen, may_submit, may_pull), now = found, database_now()
    if last_seen is None or last_seen < now - SEEN_INTERVAL:
        Grader.objects.filter(pk=grader_id).update(last_seen_at=now)
    granted = QueueGrant.objects.filter(grader_id=grader_id).values_list("queue_name", flat=True)
    principal = Principal(grader_id, secret_id, frozenset(granted), may_submit, may_pull)
    _cache.set(_principal_key(secret_id), principal, options().GRADER_CACHE_SECONDS)
    return principal


def _live_secrets() -> QuerySet[GraderSecret]:
    return GraderSecret.objects.filter(Q(expires_at=None) | Q(expires_at__gt=database_now()))


def _usable_secrets() -> QuerySet[GraderSecret]:
    return _live_secrets().filter(grader__is_active=True)


def _digests(secret: str) -> list[str]:
    """Return the secret's digest under SECRET_KEY, then under each fallback key."""
    return [
        salted_hmac(_SALT, secret, secret=key, algorithm="sha256").hexdigest()
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    ]


def _principal_key(secret_id: int) -> str:
    return f"xqueue_bridge.principal.{secret_id}"


def _revoked_key(session_id: str) -> str:
    return f"xqueue_bridge.revoked.{session_id}"
