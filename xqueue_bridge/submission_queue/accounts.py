"""Grader accounts: secrets, queue grants and sessions.

A secret is 256 random bits, so a fast keyed hash protects it. A grader that logs in before
every poll costs one indexed query.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.conf import options
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

_cache = BestEffortCache()
_SALT = "xqueue_bridge.grader_secret"


@dataclass(frozen=True)
class Principal:
    """A logged-in grader and the queues it may use."""

    grader_id: int
    secret_id: int
    queue_names: frozenset[str]
    #: May send submissions to /xqueue/submit/.
    may_submit: bool = False

    def may_use(self, queue_name: str) -> bool:
        """Return whether this grader may pull submissions from the queue and post results to it."""
        return bool({queue_name.strip(), QueueGrant.EVERY_QUEUE} & self.queue_names)

    def submissions_filter(self) -> Q:
        """Return the filter that selects the submissions this grader may access."""
        if QueueGrant.EVERY_QUEUE in self.queue_names:
            return Q()
        return Q(queue_name__in=self.queue_names)


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

    The newest former secret stays valid for ``overlap``; all older ones expire now.
    """
    secret = secrets.token_urlsafe(32)
    now = timezone.now()
    with transaction.atomic():
        live = _live_secrets().filter(grader=grader).order_by("-pk")
        former = live.first()
        live.update(expires_at=now)
        if former is not None:
            GraderSecret.objects.filter(pk=former.pk).update(expires_at=now + overlap)
        GraderSecret.objects.create(grader=grader, digest=_digests(secret)[0])
    return secret


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
    return find_principal(found[0])


def record_failed_login(name: str) -> int | None:
    """Write down that a login with this name failed; return the grader's id, None if unknown.

    Two statements; one if there is no such grader, or if its last failure is younger than
    FAILURE_INTERVAL.
    """
    if not is_valid_text(name):
        return None
    now = timezone.now()
    found = Grader.objects.filter(name=name).values_list("pk", "last_failed_login_at").first()
    if found is None:
        return None
    grader_id, last = found
    if last is None or last < now - FAILURE_INTERVAL:
        Grader.objects.filter(pk=grader_id).update(last_failed_login_at=now)
    return int(grader_id)


def find_principal(secret_id: int) -> Principal | None:
    """Return the principal that logged in with this secret, or None if the secret has expired.

    The result is cached for GRADER_CACHE_SECONDS, so a revoked grader keeps access for that long.
    """
    cache_key = f"xqueue_bridge.principal.{secret_id}"
    principal = _cache.get(cache_key)
    if not isinstance(principal, Principal):
        principal = _load_principal(secret_id)
        if principal is not None:
            _cache.set(cache_key, principal, options().GRADER_CACHE_SECONDS)
    return principal


def revoke_session(session_id: str) -> None:
    """Revoke one session of a grader; its other sessions stay valid."""
    RevokedSession.objects.bulk_create(
        [RevokedSession(session_id=session_id)], ignore_conflicts=True
    )
    _cache.set(_revoked_key(session_id), True, options().GRADER_CACHE_SECONDS)


def is_session_revoked(session_id: str) -> bool:
    """Return whether the session was logged out."""
    revoked = _cache.get(_revoked_key(session_id))
    if revoked is None:
        revoked = RevokedSession.objects.filter(pk=session_id).exists()
        _cache.set(_revoked_key(session_id), revoked, options().GRADER_CACHE_SECONDS)
    return revoked


def graders_by_queue() -> dict[str, QueueGraders]:
    """Return the graders of each queue with a grant; "*" has those of every queue.

    Only active graders with a valid secret are counted. One statement.
    """
    found: dict[str, QueueGraders] = {}
    grants = QueueGrant.objects.filter(
        Exists(_live_secrets().filter(grader=OuterRef("grader"))), grader__is_active=True
    )
    rows = grants.order_by().values("queue_name")
    for row in rows.annotate(count=Count("pk"), last_seen_at=Max("grader__last_seen_at")):
        found[row["queue_name"]] = QueueGraders(row["count"], row["last_seen_at"])
    return found


def clear_expired_sessions() -> int:
    """Delete RevokedSession rows whose cookies have expired; return their number."""
    expired = timezone.now() - timedelta(seconds=options().SESSION_SECONDS)
    return RevokedSession.objects.filter(revoked_at__lt=expired).delete()[0]


def _load_principal(secret_id: int) -> Principal | None:
    """Read the principal, and write that its grader was seen, at most once in SEEN_INTERVAL."""
    secrets_of_id = _usable_secrets().filter(pk=secret_id)
    found = secrets_of_id.values_list(
        "grader_id", "grader__last_seen_at", "grader__may_submit"
    ).first()
    if found is None:
        return None
    (grader_id, last_seen, may_submit), now = found, timezone.now()
    if last_seen is None or last_seen < now - SEEN_INTERVAL:
        Grader.objects.filter(pk=grader_id).update(last_seen_at=now)
    granted = QueueGrant.objects.filter(grader_id=grader_id).values_list("queue_name", flat=True)
    return Principal(grader_id, secret_id, frozenset(granted), may_submit)


def _live_secrets() -> QuerySet[GraderSecret]:
    return GraderSecret.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


def _usable_secrets() -> QuerySet[GraderSecret]:
    return _live_secrets().filter(grader__is_active=True)


def _digests(secret: str) -> list[str]:
    """Return the secret's digest under SECRET_KEY, then under each fallback key."""
    return [
        salted_hmac(_SALT, secret, secret=key, algorithm="sha256").hexdigest()
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    ]


def _revoked_key(session_id: str) -> str:
    return f"xqueue_bridge.revoked.{session_id}"
