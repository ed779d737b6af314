"""Django's cache as an optimisation only: no request fails because the cache does."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache import caches

from xqueue_bridge.conf import options
from xqueue_bridge.worker.circuit_breaker import CircuitBreaker

log = logging.getLogger(__name__)

#: Leaves out a cache that has failed for five seconds: each call may wait for its timeout.
breaker = CircuitBreaker(retry_seconds=5)


class BestEffortCache:
    """The cache of CACHE_ALIAS; while it is down, reads find nothing and writes are dropped.

    It has those methods of Django's caches that the package calls.
    """

    def get(self, key: str, default: object = None) -> Any:
        return self._call("get", default, key, default)

    def set(self, key: str, value: object, timeout: float) -> None:
        self._call("set", None, key, value, timeout)

    def add(self, key: str, value: object, timeout: float) -> bool:
        """Set a key that is not set; return whether it was not. True while the cache is down."""
        return bool(self._call("add", True, key, value, timeout))

    def delete(self, key: str) -> None:
        self._call("delete", None, key)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        found: dict[str, Any] = self._call("get_many", {}, keys)
        return found

    def set_many(self, data: Mapping[str, object], timeout: float) -> None:
        self._call("set_many", None, data, timeout)

    def _call(self, method: str, default: object, *args: object) -> Any:
        if not breaker.allows():
            return default
        alias = options().CACHE_ALIAS
        try:
            result = getattr(caches[alias], method)(*args)
        except Exception as exc:  # each kind of cache raises exceptions of its own library
            if breaker.record_failure():
                kind = type(exc).__name__
                log.warning("Cache %r cannot be used (%s): work goes on without it", alias, kind)
            return default
        if breaker.is_open:
            breaker.record_success()
            log.warning("Cache %r can be used again", alias)
        return result


def is_cache_down() -> bool:
    """Return whether the last call of this process to the cache has failed."""
    return breaker.is_open
