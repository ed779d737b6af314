"""Database connections that the server closes between two requests, or within one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, connections, transaction

from tests.submission_queue.factories import GOOD_REPLY, make_grader, new_submission
from xqueue_bridge.db.transactions import retry_on_lost_connection
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)


class ClosedConnection:
    """A database driver's connection that the server has closed."""

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        raise connection.Database.OperationalError("server has gone away")


def kill_connection() -> None:
    """Let the server close this thread's connection, as a restart or a timeout does.

    SQLite has no server: its connection is replaced by one that behaves so.
    """
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        connection.connection.close()
        connection.connection = ClosedConnection()
        return
    statements = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}
    with connection.cursor() as cursor:
        cursor.execute(statements[connection.vendor])
        (number,) = cursor.fetchone()

    def kill() -> None:
        kills = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}
        with connection.cursor() as cursor:
            cursor.execute(kills[connection.vendor], [number])
        connection.close()

    thread = threading.Thread(target=kill)
    thread.start()
    thread.join()


@pytest.fixture(autouse=True)
def _sqlite_with_a_server(monkeypatch) -> Iterator[None]:
    """Let SQLite find that its connection was closed; leave no closed connection."""
    if connection.vendor == "sqlite":
        is_usable = lambda: not isinstance(connection.connection, ClosedConnection)  # noqa: E731
        monkeypatch.setattr(connection, "is_usable", is_usable)
    yield
    if not connection.is_usable():
        connection.close()


@pytest.mark.parametrize("endpoint", ["get_queuelen", "get_submission"])
def test_pull_after_the_connection_was_closed(endpoint):
    """C54: a grader that polls notices nothing."""
    grader = make_grader()
    api.enqueue(new_submission())
    kill_connection()
    assert grader.ask(endpoint, queue_name="python")["return_code"] == 0


def test_result_after_the_connection_was_closed():
    """C80: a result is stored at its first attempt."""
    grader = make_grader()
    api.enqueue(new_submission())
    submission = grader.pull()
    assert submission
    kill_connection()
    assert grader.put(submission.header, GOOD_REPLY) == {"return_code": 0, "content": ""}
    assert Submission.objects.get().status == "answered"
    assert ReceivedReply.objects.count() == 1


def test_login_after_the_connection_was_closed():
    grader = make_grader()
    kill_connection()
    assert grader.login() == {"return_code": 0, "content": "Logged in"}


def test_result_whose_connection_is_closed_within_the_transaction(monkeypatch):
    """C80, C87: the first attempt is rolled back, and the second stores the reply once."""
    from xqueue_bridge.grader_replies import api as grader_replies

    grader = make_grader()
    api.enqueue(new_submission())
    submission = grader.pull()
    assert submission
    store, calls = grader_replies.store_reply, []

    def store_after_the_end(*args: object, **kwargs: object) -> int:
        calls.append(args)
        if len(calls) == 1:
            kill_connection()
        return store(*args, **kwargs)

    monkeypatch.setattr(grader_replies, "store_reply", store_after_the_end)
    assert grader.put(submission.header, GOOD_REPLY) == {"return_code": 0, "content": ""}
    assert len(calls) == 2
    assert ReceivedReply.objects.count() == 1


def test_sweeper_goes_on_after_the_connection_was_closed(capsys):
    """SG44: the sweep that meets it fails at most once; the next one works."""
    kill_connection()
    for _ in range(2):
        try:
            call_command("xqueue_bridge_sweep")
        except ExceptionGroup:
            connections["default"].close_if_unusable_or_obsolete()
    call_command("xqueue_bridge_sweep")


def test_error_on_a_connection_that_is_usable():
    """An error that a repetition would meet again is raised at once."""
    calls = []

    @retry_on_lost_connection
    def fail() -> None:
        calls.append(1)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.errors_occurred = True
        raise OperationalError("deadlock")

    with pytest.raises(OperationalError):
        fail()
    assert calls == [1]


@pytest.mark.parametrize(
    ("context", "tries"), [(nullcontext, 2), (transaction.atomic, 1)], ids=["alone", "transaction"]
)
def test_connection_that_is_lost_each_time(context, tries):
    """There is one repetition, and none in a transaction, which only its owner can repeat."""
    calls = []

    @retry_on_lost_connection
    def fail() -> None:
        calls.append(1)
        kill_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    with pytest.raises(OperationalError), context():
        fail()
    assert len(calls) == tries
