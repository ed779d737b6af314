"""The machines that grade: their secrets, and what each may do.

A secret is 256 random bits, so a fast keyed hash protects it: a grader that logs in before
every poll costs one indexed query.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.cache import BaseCache, caches
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from xqueue_bridge.conf import options
from xqueue_bridge.protocol.fields import is_valid_text
from xqueue_bridge.submission_queue.models import Grader, GraderSecret, QueueGrant, RevokedSession

#: How long a former secret lives beside the new one, unless said otherwise.
ROTATION_OVERLAP = timedelta(hours=24)

_SALT = "xqueue_bridge.grader_secret"


@dataclass(frozen=True)
class Principal:
    """A grader that is logged in, and the queues it may use."""

    grader_id: int
    secret_id: int
    queue_names: frozenset[str]

    def may_use(self, queue_name: str) -> bool:
        """Return whether this grader may pull from and answer the queue."""
        return bool({queue_name, QueueGrant.EVERY_QUEUE} & self.queue_names)

    def submissions_filter(self) -> Q:
        """Return the condition under which a submission is this grader's business."""
        if QueueGrant.EVERY_QUEUE in self.queue_names:
            return Q()
        return Q(queue_name__in=self.queue_names)


def create_grader(name: str, queue_names: Iterable[str] = ()) -> str:
    """Create a grader that may use these queues ("*": all); return its secret, shown only once.

    Raises IntegrityError if the name is taken.
    """
    with transaction.atomic():
        grader = Grader.objects.create(name=name)
        QueueGrant.objects.bulk_create(
            QueueGrant(grader=grader, queue_name=queue_name) for queue_name in set(queue_names)
        )
        return issue_secret(grader)


def issue_secret(grader: Grader, *, overlap: timedelta = timedelta(0)) -> str:
    """Give the grader a new secret and return it.

    The newest of its former secrets lives for ``overlap`` more; all others end now.
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
    """Return the principal whose name and secret these are, or None."""
    if not (is_valid_text(name) and is_valid_text(secret)):  # JSON can say what is no text
        return None
    found = (
        _live_secrets()
        .filter(digest__in=_digests(secret))
        .values_list("pk", "grader__name")
        .first()
    )
    if found is None or not constant_time_compare(found[1], name):
        return None
    return find_principal(found[0])


def find_principal(secret_id: int) -> Principal | None:
    """Return who logged in with this secret, if it still lives.

    Believed for GRADER_CACHE_SECONDS: so long may a revoked grader go on.
    """
    cache_key = f"xqueue_bridge.principal.{secret_id}"
    principal = _cache().get(cache_key)
    if principal is None:
        principal = _load_principal(secret_id)
        if principal is not None:
            _cache().set(cache_key, principal, options().GRADER_CACHE_SECONDS)
    return principal


def end_session(session_id: str) -> None:
    """End one session of a grader; its other sessions go on."""
    RevokedSession.objects.bulk_create(
        [RevokedSession(session_id=session_id)], ignore_conflicts=True
    )
    _cache().set(_ended_key(session_id), True, options().GRADER_CACHE_SECONDS)


def session_has_ended(session_id: str) -> bool:
    """Return whether the session was logged out."""
    ended = _cache().get(_ended_key(session_id))
    if ended is None:
        ended = RevokedSession.objects.filter(pk=session_id).exists()
        _cache().set(_ended_key(session_id), ended, options().GRADER_CACHE_SECONDS)
    return ended


def clear_expired_sessions() -> int:
    """Delete the rows of sessions whose cookies have expired by now; return how many."""
    expired = timezone.now() - timedelta(seconds=options().SESSION_SECONDS)
    return RevokedSession.objects.filter(ended_at__lt=expired).delete()[0]


def _load_principal(secret_id: int) -> Principal | None:
    grader_id = _usable_secrets().filter(pk=secret_id).values_list("grader_id", flat=True).first()
    if grader_id is None:
        return None
    granted = QueueGrant.objects.filter(grader_id=grader_id).values_list("queue_name", flat=True)
    return Principal(grader_id, secret_id, frozenset(granted))


def _live_secrets() -> QuerySet[GraderSecret]:
    return GraderSecret.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


def _usable_secrets() -> QuerySet[GraderSecret]:
    return _live_secrets().filter(grader__is_active=True)


def _digests(secret: str) -> list[str]:
    """Return the secret's digest under the site's key, then under each fallback key."""
    return [
        salted_hmac(_SALT, secret, secret=key, algorithm="sha256").hexdigest()
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    ]


def _ended_key(session_id: str) -> str:
    return f"xqueue_bridge.ended.{session_id}"


def _cache() -> BaseCache:
    return caches[options().CACHE_ALIAS]
