"""Grader sessions in a signed cookie that is valid only below the queue's URL path.

An LMS session gives no access to the queue, and a grader session none to the LMS.
"""

from __future__ import annotations

import secrets
import time
from functools import lru_cache

from django.contrib.auth.models import AnonymousUser
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from xqueue_bridge.conf import options
from xqueue_bridge.submission_queue import accounts
from xqueue_bridge.submission_queue.accounts import Principal

_SALT = "xqueue_bridge.grader_session"
#: A cookie's signature is verified once in this time, because that takes as long as a statement.
SIGNATURE_SECONDS = 2.0


class GraderSessionAuthentication(BaseAuthentication):
    """DRF authentication by the grader's cookie. The Authorization header is ignored."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Principal] | None:
        """Return an anonymous user, and the grader as ``request.auth``.

        DRF hands the user on to Django's request, where a host's middleware takes it for an
        account of its own: it reads its e-mail address and writes a session for it.
        """
        session = _read(request)
        principal = accounts.find_session(*session) if session else None
        return (AnonymousUser(), principal) if principal else None


class IsGrader(BasePermission):
    """DRF permission for requests with a grader's valid session."""

    def has_permission(self, request: Request, view: object) -> bool:
        return isinstance(request.auth, Principal)


def start_session(response: HttpResponse, principal: Principal, *, secure: bool) -> None:
    """Set the cookie of a new session; other sessions of the grader stay valid."""
    session = signing.dumps([principal.secret_id, secrets.token_hex(16)], salt=_SALT)
    response.set_cookie(
        options().SESSION_COOKIE,
        session,
        max_age=options().SESSION_SECONDS,
        path=_path(),
        secure=secure,
        httponly=True,
        samesite="Strict",
    )


def end_session(request: HttpRequest | Request, response: HttpResponse) -> None:
    """Revoke the request's session, if any, and delete its cookie."""
    session = _read(request)
    if session is not None:
        accounts.revoke_session(session[1])
    response.delete_cookie(options().SESSION_COOKIE, path=_path(), samesite="Strict")


def _read(request: HttpRequest | Request) -> tuple[int, str] | None:
    cookie = request.COOKIES.get(options().SESSION_COOKIE, "")
    period = int(time.time() / SIGNATURE_SECONDS)
    try:
        return _signed(cookie, options().SESSION_SECONDS, period)
    except signing.BadSignature:
        return None


@lru_cache(maxsize=accounts.MAX_MEMORY)
def _signed(cookie: str, max_age: int, period: int) -> tuple[int, str]:
    """Return the ids of a cookie's secret and session; raise BadSignature, which is not kept."""
    secret_id, session_id = signing.loads(cookie, salt=_SALT, max_age=max_age)
    return secret_id, session_id


def _path() -> str:
    return reverse("xqueue_bridge:login").removesuffix("login/")
