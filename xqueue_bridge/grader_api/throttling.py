"""DRF throttle of failed logins."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.conf import options
from xqueue_bridge.grader_api.source_address import network_of, source_address


class FailedLoginThrottle(SimpleRateThrottle):
    """Allow LOGIN_FAILURE_RATE failed logins of each source address.

    The view calls ``allow_request`` after a login has failed, so a right secret is always taken.
    A secret has 256 random bits: no rate of guesses finds one. The throttle bounds what failures
    cost beyond one indexed SELECT: the log lines and the write.
    """

    cache: Any = BestEffortCache()
    duration: int

    def get_rate(self) -> str:
        return options().LOGIN_FAILURE_RATE

    def get_cache_key(self, request: Request, view: APIView) -> str:
        # Hashed, because a cache key must not contain some of an address's characters.
        source = network_of(source_address(request.META))
        return f"xqueue_bridge.login.{sha256(source.encode()).hexdigest()}"

    def is_first_refusal(self) -> bool:
        """Return whether this is the first refusal in the rate's period. Call it after one."""
        return self.cache.add(f"{self.key}.refused", True, self.duration)
