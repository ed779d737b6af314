"""Checks that no process waits without limit for a server that accepts connections only."""

from __future__ import annotations

from celery import current_app
from django.conf import settings
from django.core import checks

from xqueue_bridge.checks.messages import warning
from xqueue_bridge.conf import options
from xqueue_bridge.worker.enqueue import uses_celery

#: The option of a cache that limits the wait. Several releases of the clients have no default.
_CACHE_LIMITS = {
    "django.core.cache.backends.memcached.PyMemcacheCache": "timeout",
    "django.core.cache.backends.redis.RedisCache": "socket_timeout",
    "django_redis.cache.RedisCache": "SOCKET_TIMEOUT",
}
_REDIS = ("redis://", "rediss://", "sentinel://")


@checks.register("xqueue_bridge", deploy=True)
def check_cache_limit(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that a request waits for the cache for a limited time."""
    alias = options().CACHE_ALIAS
    cache = settings.CACHES.get(alias) if isinstance(alias, str) else None
    limit = _CACHE_LIMITS.get(cache.get("BACKEND", "")) if cache else None
    if not cache or limit is None or (cache.get("OPTIONS") or {}).get(limit):
        return []
    text = f"CACHES[{alias!r}] has no limit for a server that does not respond."
    return [warning("W012", text, f"CACHES[{alias!r}]['OPTIONS'] = {{{limit!r}: 0.5}}")]


@checks.register("xqueue_bridge", deploy=True)
def check_broker_limit(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that a task is published to Redis in a limited time; other brokers have a default."""
    url = current_app.conf.broker_url
    if not (uses_celery() and isinstance(url, str) and url.startswith(_REDIS)):
        return []
    if (current_app.conf.broker_transport_options or {}).get("socket_timeout"):
        return []
    text = "Celery has no limit for a Redis broker that does not respond."
    hint = "CELERY_BROKER_TRANSPORT_OPTIONS = {'socket_timeout': 2, 'max_retries': 1}"
    return [warning("W013", text, hint)]
