"""Announce new submissions to the gateway, over PostgreSQL's NOTIFY or over Redis.

Nothing depends on an announcement: without one, the gateway finds a submission by its light poll.
"""

from __future__ import annotations

import logging
from functools import cache, partial
from typing import Any

from django.db import connection

from xqueue_bridge.conf import gateway_options
from xqueue_bridge.db.transactions import after_commit
from xqueue_bridge.worker.circuit_breaker import CircuitBreaker

log = logging.getLogger(__name__)

CHANNEL = "xqueue_bridge"
#: How a message begins: a queue has work, or a learner has a grade. A name or user id follows.
QUEUE, LEARNER = "queue ", "learner "
#: Seconds that a request may lose to a Redis server that does not respond.
REDIS_TIMEOUT = 0.2

#: Leaves out a Redis server for 30 seconds after a failure.
breaker = CircuitBreaker(retry_seconds=30)


def announce_learner(*, user_id: int, **kwargs: object) -> None:
    """Receive ``reply_applied``: tell the gateway that a learner has a grade, if it pushes it."""
    chosen = gateway_options()
    if chosen is not None and chosen.LEARNER_EVENTS:
        announce(f"{LEARNER}{user_id}")


def announce(message: str) -> None:
    """Send ``message`` to the gateway after the commit, if there is a gateway; never raise.

    One statement on PostgreSQL, outside of the caller's transaction; none with Redis.
    """
    chosen = gateway_options()
    if chosen is None:
        return
    if chosen.REDIS_URL:
        after_commit(partial(publish, chosen.REDIS_URL, message))
    elif connection.vendor == "postgresql":
        after_commit(partial(notify, message))


def notify(message: str) -> None:
    """Send a message to the processes that listen to this PostgreSQL database; one statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, message])


def publish(url: str, message: str) -> None:
    """Send a message to the processes that subscribe at this Redis server, if it responds."""
    if not breaker.allows():
        return
    try:
        redis_client(url).publish(CHANNEL, message)
    except Exception as exc:  # redis is an optional part, so its exceptions cannot be named here
        if breaker.record_failure():
            kind = type(exc).__name__
            log.warning("Redis cannot be used (%s): submissions are not announced", kind)
    else:
        breaker.record_success()


@cache
def redis_client(url: str) -> Any:
    """Return this process's client of a Redis server; threads may share it."""
    from redis import Redis

    return Redis.from_url(url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT)
