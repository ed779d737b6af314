"""Announcements: sent after the commit, received by the gateway, and what happens without them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import connection, transaction

from tests.submission_queue.factories import new_submission
from xqueue_bridge.gateway import listener
from xqueue_bridge.gateway.listener import PING, Listener, Subscription, subscription_of
from xqueue_bridge.option_groups import GatewayOptions
from xqueue_bridge.submission_queue import api
from xqueue_bridge.worker import announce

REDIS = "redis://127.0.0.1:6379/15"


def eventually(condition: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 60
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
    return condition()


class Line(Subscription):
    """A subscription in memory that can be cut or be deaf."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.is_cut = self.is_deaf = self.is_closed = False

    def ping(self) -> None:
        if not self.is_deaf:
            self.waiting.append(PING)

    def messages(self) -> Iterator[str]:
        time.sleep(0.005)
        if self.is_cut:
            raise ConnectionError("secret detail")
        while self.waiting:
            yield self.waiting.pop(0)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def fast(monkeypatch) -> None:
    monkeypatch.setattr(listener, "PING_SECONDS", 0.1)
    monkeypatch.setattr(listener, "PONG_SECONDS", 0.05)
    monkeypatch.setattr(listener, "backoff", lambda *args: 0.01)


@pytest.fixture
def lines(fast) -> Iterator[list[Line]]:
    """Return the subscriptions of a running listener, the newest last, and what it received."""
    opened: list[Line] = []

    def subscribe() -> Line:
        opened.append(Line())
        return opened[-1]

    running = Listener(subscribe, RECEIVED.append)
    RECEIVED.clear()
    running.start()
    assert eventually(lambda: running.is_receiving)
    LISTENERS[:] = [running]
    yield opened
    running.stop()
    running.join(10)
    assert not running.is_alive()


RECEIVED: list[str] = []
LISTENERS: list[Listener] = []


def test_announcements_are_passed_on_without_pings(lines) -> None:
    lines[-1].waiting += ["python", PING, "other"]
    assert eventually(lambda: RECEIVED == ["python", "other"])


def test_lost_connection_is_opened_again(lines, caplog) -> None:
    lines[-1].is_cut = True
    assert eventually(lambda: len(lines) == 2 and LISTENERS[0].is_receiving)
    assert lines[0].is_closed
    lines[-1].waiting.append("python")
    assert eventually(lambda: RECEIVED == ["python"])
    assert "ConnectionError" in caplog.text
    assert "secret detail" not in caplog.text


def test_connection_that_receives_nothing_counts_as_lost(lines) -> None:
    """LISTEN through a connection pooler raises nothing, and receives nothing."""
    lines[-1].is_deaf = True
    assert eventually(lambda: len(lines) >= 2)


def test_failures_in_a_row_are_logged_once(fast, caplog) -> None:
    tries: list[int] = []

    def refuse() -> Subscription:
        tries.append(1)
        raise ConnectionError

    running = Listener(refuse, RECEIVED.append)
    running.start()
    assert eventually(lambda: len(tries) > 5)
    running.stop()
    running.join(10)
    assert caplog.text.count("No announcements arrive") == 1
    assert not running.is_receiving


def received_from(options: GatewayOptions, act: Callable[[], object]) -> list[str]:
    """Return what a listener receives of what ``act`` announces."""
    received: list[str] = []
    subscribe = subscription_of(options)
    assert subscribe is not None
    running = Listener(subscribe, received.append)
    running.start()
    try:
        assert eventually(lambda: running.is_receiving)
        act()
        assert eventually(lambda: bool(received))
    finally:
        running.stop()
        running.join(10)
    return received


@pytest.mark.django_db(transaction=True)
def test_submission_is_announced_after_its_commit(settings, django_assert_num_queries) -> None:
    """On PostgreSQL by one statement more; elsewhere not at all without Redis."""
    settings.XQUEUE_BRIDGE = {"GATEWAY": {}}
    is_postgres = connection.vendor == "postgresql"
    assert (subscription_of(GatewayOptions()) is not None) is is_postgres

    def enqueue() -> None:
        with transaction.atomic():
            api.enqueue(new_submission())
            time.sleep(0.2)

    if is_postgres:
        assert received_from(GatewayOptions(), enqueue) == ["queue python"]
    with django_assert_num_queries(1 if is_postgres else 0):
        announce.announce("python")


@pytest.mark.django_db(transaction=True)
def test_nothing_is_announced_without_a_gateway(settings, django_assert_num_queries) -> None:
    settings.XQUEUE_BRIDGE = {}
    with django_assert_num_queries(0):
        announce.announce("python")


@pytest.mark.celery_broker
@pytest.mark.django_db(transaction=True)
def test_submission_is_announced_over_redis(settings, django_assert_num_queries) -> None:
    settings.XQUEUE_BRIDGE = {"GATEWAY": {"REDIS_URL": REDIS}}
    announce.breaker.record_success()

    def enqueue() -> None:
        api.enqueue(new_submission())

    assert "queue python" in received_from(GatewayOptions(REDIS_URL=REDIS), enqueue)
    with django_assert_num_queries(0):
        announce.announce("python")


@pytest.mark.django_db(transaction=True)
def test_submission_is_stored_while_redis_is_gone(settings, caplog) -> None:
    settings.XQUEUE_BRIDGE = {"GATEWAY": {"REDIS_URL": "redis://:secret@127.0.0.1:9/0"}}
    announce.breaker.record_success()
    for number in range(3):
        assert api.enqueue(new_submission(queue_key=str(number))) == number + 1
    assert caplog.text.count("Redis cannot be used (ConnectionError)") == 1
    assert "secret" not in caplog.text
    announce.breaker.record_success()


def test_redis_is_left_out_after_a_failure(monkeypatch) -> None:
    calls: list[str] = []

    class Client:
        def publish(self, channel: str, message: str) -> None:
            calls.append(message)
            raise ConnectionError

    monkeypatch.setattr(announce, "redis_client", lambda url: Client())
    announce.breaker.record_success()
    for _ in range(3):
        announce.publish("redis://x", "python")
    assert calls == ["python"]
    announce.breaker.record_success()


@pytest.mark.django_db(transaction=True)
def test_listener_receives_again_after_its_connection_was_ended(monkeypatch) -> None:
    """On PostgreSQL the server ends the connection; elsewhere there is no listener."""
    subscribe = subscription_of(GatewayOptions())
    if subscribe is None:
        assert connection.vendor != "postgresql"
        return
    monkeypatch.setattr(listener, "backoff", lambda *args: 0.01)
    received: list[str] = []
    running = Listener(subscribe, received.append)
    running.start()
    try:
        assert eventually(lambda: running.is_receiving)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
                " AND datname = current_database()"
            )
        assert eventually(lambda: announced(received))
    finally:
        running.stop()
        running.join(10)


def announced(received: list[str]) -> bool:
    announce.notify("python")
    return "python" in received


def test_threads_of_listeners_end() -> None:
    assert not [each for each in threading.enumerate() if "xqueue gateway" in each.name]
