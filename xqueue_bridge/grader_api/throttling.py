"""Throttles that count failed logins only."""

from __future__ import annotations

from hashlib import sha256

from django.core.cache import caches
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from xqueue_bridge.conf import options


class FailedLoginThrottle(SimpleRateThrottle):
    """DRF rate throttle that counts only in ``record_failure``."""

    def __init__(self, who: str) -> None:
        self._who = who
        self.cache = caches[options().CACHE_ALIAS]
        super().__init__()

    def get_rate(self) -> str:
        return options().LOGIN_FAILURE_RATE

    def get_cache_key(self, request: Request, view: APIView) -> str:
        # Hashed, because a name may contain characters that a cache key must not.
        return f"xqueue_bridge.login.{sha256(self._who.encode('utf-8', 'replace')).hexdigest()}"

    def throttle_success(self) -> bool:
        return True

    def record_failure(self) -> None:
        """Count the request that was passed to ``allow_request``."""
        self.history.insert(0, self.now)
        self.cache.set(self.key, self.history, self.duration)  # type: ignore[attr-defined]


class LoginThrottle:
    """Throttle failed logins by source address and by grader name."""

    def __init__(self, request: Request, view: APIView, name: str) -> None:
        self._asked = (request, view)
        self._by_source = FailedLoginThrottle(f"source {request.META.get('REMOTE_ADDR')}")
        self._by_name = FailedLoginThrottle(f"name {name}")

    def allows(self) -> bool:
        """Return whether another login attempt is allowed."""
        by_source = self._by_source.allow_request(*self._asked)
        # Both throttles are called, because ``record_failure`` needs the state set by the call.
        return self._by_name.allow_request(*self._asked) and by_source

    def record_failure(self) -> None:
        """Count a failed attempt. Call ``allows`` first."""
        self._by_source.record_failure()
        self._by_name.record_failure()
