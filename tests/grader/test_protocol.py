"""QueueClient against a stand-in that answers as servers do, and as they should not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses

from xqueue_bridge.grader import (
    LoginRefused,
    QueueClient,
    RequestRefused,
    Submission,
    XQueueError,
)

URL = "http://lms.example.com"
QUEUE = f"{URL}/xqueue"


def envelope(code: int, content: Any) -> dict[str, Any]:
    return {"return_code": code, "content": content}


@pytest.fixture
def queue() -> Iterator[responses.RequestsMock]:
    """A queue that takes our login, and any number of them."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        token = {"Set-Cookie": "csrftoken=t0ken; Path=/"}
        mock.get(f"{QUEUE}/login/", json=envelope(1, "login_required"), headers=token)
        mock.post(f"{QUEUE}/login/", json=envelope(0, "Logged in"))
        yield mock


@pytest.fixture
def client() -> QueueClient:
    return QueueClient(URL, "grader", "s3cret")


def logins(queue: responses.RequestsMock) -> int:
    return sum(c.request.method == "POST" and "login" in c.request.url for c in queue.calls)


def test_login_shows_the_token_and_where_it_came_from(
    queue: responses.RequestsMock, client: QueueClient
) -> None:
    client.login()
    post = queue.calls[1].request
    assert post.body == "username=grader&password=s3cret"
    assert post.headers["X-CSRFToken"] == "t0ken"
    assert post.headers["Referer"] == f"{QUEUE}/login/"


def test_refused_login_does_not_tell_the_secret(client: QueueClient) -> None:
    with responses.RequestsMock() as queue:
        queue.get(f"{QUEUE}/login/", json=envelope(1, "login_required"))
        queue.post(f"{QUEUE}/login/", json=envelope(1, "Incorrect login credentials"))
        with pytest.raises(LoginRefused) as raised:
            client.login()
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("status", [301, 302, 401, 403])
def test_lost_session_is_a_login_and_one_more_try(
    queue: responses.RequestsMock, client: QueueClient, status: int
) -> None:
    queue.get(f"{QUEUE}/get_submission/", status=status)
    queue.get(f"{QUEUE}/get_submission/", json=envelope(1, "Queue 'demo' is empty"))
    assert client.pull("demo") is None
    assert logins(queue) == 1


def test_session_lost_twice_is_an_error(queue: responses.RequestsMock, client: QueueClient) -> None:
    queue.get(f"{QUEUE}/get_submission/", status=302)
    with pytest.raises(XQueueError, match="302"):
        client.pull("demo")
    assert logins(queue) == 1


def test_submission_is_taken_apart(queue: responses.RequestsMock, client: QueueClient) -> None:
    header = '{"submission_id": 7, "submission_key": "k"}'
    content = {"xqueue_header": header, "xqueue_body": "{}", "xqueue_files": '{"a.py": "http://x"}'}
    queue.get(f"{QUEUE}/get_submission/", json=envelope(0, json.dumps(content)))
    pulled = client.pull("demo")
    assert pulled == Submission(header, "{}", {"a.py": "http://x"})
    assert pulled.id == "7"
    assert "k" not in repr(pulled).removeprefix("Submission")


@pytest.mark.parametrize(
    "answer",
    [
        {"body": "<html>"},
        {"body": "[]"},
        {"body": "null"},
        {"json": {"content": ""}},
        {"json": envelope(0, "no json")},
        {"json": envelope(0, "[]")},
        {"json": envelope(0, "{}")},
        {"json": envelope(0, 3)},
        {"json": envelope(1, "Queue 'demo' not found")},
        {"status": 500},
        {"body": requests.ConnectTimeout()},
        {"body": requests.exceptions.ChunkedEncodingError()},
    ],
)
def test_odd_answer_is_an_error(
    queue: responses.RequestsMock, client: QueueClient, answer: dict[str, Any]
) -> None:
    queue.get(f"{QUEUE}/get_submission/", **answer)
    with pytest.raises(XQueueError):
        client.pull("demo")


def test_result_is_handed_in_as_a_form(queue: responses.RequestsMock, client: QueueClient) -> None:
    form = {"xqueue_header": '{"h": 1}', "xqueue_body": '{"correct": true}'}
    match = [responses.matchers.urlencoded_params_matcher(form)]
    queue.post(f"{QUEUE}/put_result/", json=envelope(0, ""), match=match)
    client.put_result('{"h": 1}', {"correct": True})
    assert len(queue.calls) == 1


def test_refused_result_says_why(queue: responses.RequestsMock, client: QueueClient) -> None:
    queue.post(f"{QUEUE}/put_result/", json=envelope(1, "Submission does not exist"))
    with pytest.raises(RequestRefused, match="Submission does not exist"):
        client.put_result("{}", {})


def test_file_is_fetched_without_our_session(
    queue: responses.RequestsMock, client: QueueClient
) -> None:
    queue.get("http://files.example.com/a", body=b"x = 1")
    client.login()
    assert client.download("http://files.example.com/a") == b"x = 1"
    assert "Cookie" not in queue.calls[-1].request.headers


def test_file_that_is_too_large_is_left(
    queue: responses.RequestsMock, client: QueueClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xqueue_bridge.grader.client.MAX_FILE_BYTES", 10)
    queue.get("http://files.example.com/a", body=b"x" * 11)
    with pytest.raises(XQueueError, match="more than 10 bytes"):
        client.download("http://files.example.com/a")


def test_url_of_a_missing_file_is_not_in_the_error(
    queue: responses.RequestsMock, client: QueueClient
) -> None:
    queue.get("http://files.example.com/signed-address", status=403)
    with pytest.raises(XQueueError) as raised:
        client.download("http://files.example.com/signed-address")
    assert "signed-address" not in str(raised.value)
