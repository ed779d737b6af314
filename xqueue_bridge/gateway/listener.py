"""A thread that receives the announcements of new submissions, and knows whether they arrive."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections

from xqueue_bridge.option_groups import GatewayOptions
from xqueue_bridge.worker.announce import CHANNEL, REDIS_TIMEOUT, notify
from xqueue_bridge.worker.backoff import backoff

log = logging.getLogger(__name__)

#: An empty announcement, which the listener sends to itself.
PING = ""
PING_SECONDS = 10.0
#: Seconds after a ping after which announcements count as lost: behind PgBouncer, for example.
PONG_SECONDS = 3.0
_WAIT_SECONDS = 0.5


class NothingReceived(Exception):
    """An announcement of this process has not come back to it."""


class Subscription(ABC):
    """A connection that receives announcements."""

    @abstractmethod
    def ping(self) -> None:
        """Announce PING the way submissions are announced."""

    @abstractmethod
    def messages(self) -> Iterator[str]:
        """Yield the messages that arrive within _WAIT_SECONDS."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class PostgresSubscription(Subscription):
    """LISTEN, on a database connection of its own."""

    def __init__(self) -> None:
        self._database = connections[DEFAULT_DB_ALIAS].copy()
        try:
            with self._database.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        except BaseException:
            self._database.close()
            raise

    def ping(self) -> None:
        # Over the connections that announce submissions, which may pass a connection pooler.
        close_old_connections()
        notify(PING)

    def messages(self) -> Iterator[str]:
        received = self._database.connection.notifies(timeout=_WAIT_SECONDS)
        return (each.payload for each in received)

    def close(self) -> None:
        self._database.close()


class RedisSubscription(Subscription):
    """SUBSCRIBE at a Redis server."""

    def __init__(self, url: str) -> None:
        from redis import Redis

        self._client = Redis.from_url(
            url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT
        )
        self._channel = self._client.pubsub(ignore_subscribe_messages=True)
        self._channel.subscribe(CHANNEL)

    def ping(self) -> None:
        self._client.publish(CHANNEL, PING)

    def messages(self) -> Iterator[str]:
        ends = time.monotonic() + _WAIT_SECONDS
        while (rest := ends - time.monotonic()) > 0:
            message = self._channel.get_message(timeout=rest)
            if message is not None:
                yield message["data"].decode()

    def close(self) -> None:
        self._channel.close()
        self._client.close()


def subscription_of(options: GatewayOptions) -> Callable[[], Subscription] | None:
    """Return what subscribes to announcements; None if submissions are not announced."""
    if options.REDIS_URL:
        url = options.REDIS_URL
        return lambda: RedisSubscription(url)
    if connections[DEFAULT_DB_ALIAS].vendor != "postgresql":
        return None
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    if not is_psycopg3:
        log.warning("The gateway listens with psycopg 3, not psycopg2: queues are polled instead")
    return PostgresSubscription if is_psycopg3 else None


class Listener(threading.Thread):
    """Passes announcements on; subscribes again, after a growing pause, when they are lost."""

    def __init__(
        self, subscribe: Callable[[], Subscription], receive: Callable[[str], object]
    ) -> None:
        super().__init__(name="xqueue gateway listener", daemon=True)
        self._subscribe, self._receive = subscribe, receive
        self._stopped = threading.Event()
        #: Whether announcements arrive at present.
        self.is_receiving = False
        self._attempts = 0

    def stop(self) -> None:
        """End the thread within a second, unless its server does not respond."""
        self._stopped.set()

    def run(self) -> None:
        try:
            self._listen_again()
        finally:
            connections.close_all()

    def _listen_again(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except Exception as exc:  # of the database's driver, and of redis
                if self.is_receiving or not self._attempts:
                    kind = type(exc).__name__
                    log.warning("No announcements arrive (%s): queues are polled instead", kind)
            self.is_receiving = False
            self._attempts += 1
            self._stopped.wait(backoff(self._attempts, 0.5, 30.0))

    def _listen(self) -> None:
        subscription = self._subscribe()
        try:
            pinged = self._ping(subscription)
            last_at = pinged
            while not self._stopped.is_set():
                for message in subscription.messages():
                    last_at = time.monotonic()
                    self._note_receiving()
                    if message != PING:
                        self._receive(message)
                now = time.monotonic()
                if last_at <= pinged and now - pinged > PONG_SECONDS:
                    raise NothingReceived
                if now - pinged > PING_SECONDS:
                    pinged = self._ping(subscription)
        finally:
            subscription.close()

    def _ping(self, subscription: Subscription) -> float:
        now = time.monotonic()
        subscription.ping()
        return now

    def _note_receiving(self) -> None:
        if not self.is_receiving:
            self.is_receiving, self._attempts = True, 0
            log.info("Announcements of submissions arrive")
