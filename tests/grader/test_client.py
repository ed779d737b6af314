"""QueueClient and Worker against our own server."""

from __future__ import annotations

import json

import pytest

from tests.submission_queue.factories import GOOD_REPLY, new_submission, upload
from xqueue_bridge.grader import (
    LoginRefused,
    QueueClient,
    QueueUnavailable,
    RequestRefused,
    Result,
    Submission,
)
from xqueue_bridge.grader.worker import Worker
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission as Row

pytestmark = pytest.mark.django_db(transaction=True)

BODY = json.dumps(
    {
        "student_response": "print(1)",
        "grader_payload": '{"task": 3}',
        "student_info": '{"anonymous_student_id": "a", "random_seed": 7}',
    }
)


@pytest.fixture
def secret(transactional_db) -> str:
    return submission_queue.create_grader("watcher", ["python"])


@pytest.fixture
def client(live_server, secret) -> QueueClient:
    return QueueClient(live_server.url, "watcher", secret)


def worker(client: QueueClient, grade, **options) -> Worker:
    """Return a worker that stops when the queue is empty."""
    made = Worker(client, ("python",), grade, poll_seconds=0.01, **options)
    pull = client.pull

    def pull_or_stop(queue_name: str) -> Submission | None:
        found = pull(queue_name)
        if found is None:
            made.stop.set()
        return found

    client.pull = pull_or_stop  # type: ignore[method-assign]
    return made


def test_first_pull_logs_in_and_members_are_read(client):
    """C72: a client that was never logged in is sent to the login, and pulls then."""
    submission_queue.enqueue(new_submission(body=BODY, files=(upload("a.py", b"print(2)"),)))
    assert client.queue_length("python") == 1
    pulled = client.pull("python")
    assert (pulled.response, pulled.payload, pulled.student["random_seed"]) == (
        "print(1)",
        {"task": 3},
        7,
    )
    assert pulled.files() == {"a.py": b"print(2)"}
    assert pulled.id == str(Row.objects.get().pk)
    assert "submission_key" not in repr(pulled)
    assert client.pull("python") is None


def test_result_is_stored_once_when_sent_twice(client):
    """C87: the same result counts once."""
    submission_queue.enqueue(new_submission())
    pulled = client.pull("python")
    assert client.put_result(pulled.header, json.loads(GOOD_REPLY)) == ""
    assert client.put_result(pulled.header, json.loads(GOOD_REPLY)) == ""
    assert ReceivedReply.objects.count() == 1


def test_refusals_are_told_apart(live_server, client):
    with pytest.raises(LoginRefused, match="Incorrect login credentials"):
        QueueClient(live_server.url, "watcher", "wrong").pull("python")
    with pytest.raises(RequestRefused, match="not found"):
        client.pull("other")
    with pytest.raises(QueueUnavailable, match="ConnectionError"):
        QueueClient("http://127.0.0.1:9", "watcher", "s").pull("python")
    submission_queue.enqueue(new_submission())
    pulled = client.pull("python")
    with pytest.raises(RequestRefused, match="score"):
        client.put_result(pulled.header, {"correct": True, "score": "many"})


def test_worker_grades_until_it_is_stopped(client):
    for number in range(3):
        submission_queue.enqueue(new_submission(queue_key=f"key-{number}", body=BODY))
    seen = []

    def grade(submission: Submission) -> Result:
        seen.append(submission.response)
        return Result(score=1, message="Good.")

    assert worker(client, grade).run() == 0
    assert seen == ["print(1)"] * 3
    assert set(Row.objects.values_list("status", flat=True)) == {"answered"}


@pytest.mark.parametrize(
    ("on_error", "status", "replies"), [("retry", "leased", 0), ("report", "answered", 1)]
)
def test_exception_of_grade(client, on_error, status, replies, caplog):
    submission_queue.enqueue(new_submission(body=BODY))

    def grade(submission: Submission) -> Result:
        raise RuntimeError(submission.response)

    assert worker(client, grade, on_error=on_error).run() == 0
    assert Row.objects.get().status == status
    assert ReceivedReply.objects.count() == replies
    assert "grade() raised RuntimeError" in caplog.text
    assert "print(1)" not in caplog.text


def test_session_that_ended_is_renewed(client):
    submission_queue.enqueue(new_submission())
    client.login()
    client._session.cookies.clear()
    assert client.pull("python") is not None


def test_worker_ends_after_refused_logins(live_server, secret):
    refused = QueueClient(live_server.url, "watcher", "wrong")
    assert Worker(refused, ("python",), lambda s: Result(score=1), poll_seconds=0.001).run() == 1
