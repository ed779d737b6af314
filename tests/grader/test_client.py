"""QueueClient and Worker: the same cases on our own server and on a legacy one."""

from __future__ import annotations

import json

import pytest
import responses

from tests.grader.conftest import OurServer
from xqueue_bridge.grader import (
    LoginRefused,
    QueueClient,
    QueueUnavailable,
    RequestRefused,
    Result,
    Submission,
    Test,
)
from xqueue_bridge.grader.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)

BODY = json.dumps(
    {
        "student_response": "print(1)",
        "grader_payload": '{"task": 3}',
        "student_info": '{"anonymous_student_id": "a", "random_seed": 7}',
    }
)
GOOD = {"correct": True, "score": 1, "msg": "<p>Good.</p>"}


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


def test_first_pull_logs_in_and_members_are_read(server, client):
    """C72: a client that was never logged in is sent to the login, and pulls then."""
    server.send(BODY, {"a.py": b"print(2)"})
    assert client.queue_length("python") == 1
    pulled = client.pull("python")
    assert (pulled.response, pulled.payload, pulled.student["random_seed"]) == (
        "print(1)",
        {"task": 3},
        7,
    )
    assert pulled.files() == {"a.py": b"print(2)"}
    assert pulled.id == str(json.loads(pulled.header)["submission_id"])
    assert "submission_key" not in repr(pulled)
    assert pulled.max_score == (1 if pulled.takes_tests else None)
    assert client.pull("python") is None


def test_result_that_is_sent_twice_counts_once(server, client):
    """C87: the same result counts once."""
    server.send(BODY)
    pulled = client.pull("python")
    assert client.put_result(pulled.header, GOOD) == []
    codes = [each.code for each in client.put_result(pulled.header, GOOD)]
    assert codes == (["duplicate"] if pulled.takes_tests else [])
    assert server.replies() == [GOOD]


def test_tests_are_data_for_our_server_and_a_table_for_a_legacy_one(server, client):
    server.send(BODY)
    tests = [Test(name="loop", score=1), Test(name="secret", score=0, visible=False)]
    worker(client, lambda _: Result.of_tests(tests, staff_note="seed 7")).run()
    [reply] = server.replies()
    if isinstance(server, OurServer):
        assert [test["name"] for test in reply["tests"]] == ["loop", "secret"]
        assert reply["staff_note"] == "seed 7"
        assert "<table" not in reply["msg"]
    else:
        assert set(reply) == {"correct", "score", "msg"}
        assert "loop</th><td>1 of 1" in reply["msg"]
        assert "secret" not in reply["msg"]


def test_warnings_are_printed_with_what_to_change(live_server, transactional_db, caplog):
    ours = OurServer(live_server.url)
    ours.send(BODY)
    client = QueueClient(ours.url, "watcher", ours.secret)
    reply = {"correct": False, "score": -5, "msg": "<script>x</script>"}
    worker(client, lambda _: reply).run()
    assert 'score_below_zero: The score is below 0, so 0 counts. {"score": -5}' in caplog.text
    assert "Send 0 or more." in caplog.text
    assert "markup_removed" in caplog.text


def test_score_above_the_maximum_is_logged_at_once(live_server, transactional_db, settings, caplog):
    """C95: the score is clamped later; its author learns of it when the result is sent."""
    ours = OurServer(live_server.url)
    client = QueueClient(ours.url, "watcher", ours.secret)
    seen = []

    def grade(submission: Submission) -> Result:
        seen.append(submission.max_score)
        return Result(score=85, max_score=100)

    for scale, as_fraction, warned in (
        ("points", False, True),
        ("fraction", False, True),
        ("fraction", True, False),
    ):
        settings.XQUEUE_BRIDGE = {"QUEUES": {"python": {"SCORE_SCALE": scale}}}
        caplog.clear()
        ours.send(BODY)
        worker(client, grade, as_fraction=as_fraction).run()
        assert ("score 85 is above the maximum score 1, which will count" in caplog.text) is warned
        assert ("(--fraction)" in caplog.text) is warned
    assert seen == [1, 1, 1]
    assert len(ours.replies()) == 3


def test_advice_about_a_refusal_is_printed(live_server, transactional_db, caplog):
    ours = OurServer(live_server.url)
    ours.send(BODY)
    client = QueueClient(ours.url, "watcher", ours.secret)
    worker(client, lambda _: {"correct": True}).run()
    assert "score: is missing" in caplog.text
    assert "field_missing: Send xqueue_header and xqueue_body" in caplog.text


def test_each_refusal_has_its_own_exception(server, client):
    with pytest.raises(LoginRefused, match="Incorrect login credentials"):
        QueueClient(server.url, "watcher", "wrong").pull("python")
    with pytest.raises(RequestRefused, match="not found"):
        client.pull("other")
    with pytest.raises(RequestRefused, match="Valid queue names are"):
        client.queue_length("other")
    server.send(BODY)
    pulled = client.pull("python")
    with pytest.raises(RequestRefused, match="Incorrect reply format"):
        client.put_result(pulled.header, {"correct": True, "score": "many"})
    forged = json.dumps({**json.loads(pulled.header), "submission_key": "forged"})
    with pytest.raises(RequestRefused, match="Incorrect key for submission"):
        client.put_result(forged, GOOD)
    unknown = json.dumps({**json.loads(pulled.header), "submission_id": 999_999})
    with pytest.raises(RequestRefused, match="Submission does not exist"):
        client.put_result(unknown, GOOD)


def test_refusal_of_our_server_names_the_field(live_server, transactional_db):
    ours = OurServer(live_server.url)
    ours.send(BODY)
    client = QueueClient(ours.url, "watcher", ours.secret)
    pulled = client.pull("python")
    with pytest.raises(RequestRefused, match="score: must be a number") as refused:
        client.put_result(pulled.header, {"correct": True, "score": "many"})
    assert refused.value.code == "score_not_a_number"


def test_server_that_cannot_be_reached():
    with pytest.raises(QueueUnavailable, match="ConnectionError"):
        QueueClient("http://127.0.0.1:9", "watcher", "s").pull("python")


def test_address_that_cannot_be_parsed():
    """A server's link to a file can be one, behind a proxy that rewrites addresses."""
    client = QueueClient("http://[::1", "watcher", "s")
    client.files_url = "http://[::1/xqueue/files/"
    with pytest.raises(QueueUnavailable, match="get_submission/ cannot be reached"):
        client.pull("python")
    with pytest.raises(QueueUnavailable, match="a file cannot be fetched"):
        client.download("http://[::1/a.py")
    assert client.file_link_error().startswith("there is no response")


@pytest.mark.parametrize(
    "body",
    ["x", "[]", "{}", '{"return_code": 0}', '{"return_code": Infinity, "content": ""}']
    + ['{"return_code": null, "content": ""}', "[" * 100_000]
    + [f'{{"return_code": 0, "content": {content}}}' for content in ('""', "null", "Infinity")],
)
def test_response_in_an_unknown_form(body):
    """Whatever a server or a proxy answers, the client raises one of its own exceptions."""
    with responses.RequestsMock() as mocked:
        mocked.get("http://queue/xqueue/get_queuelen/", body=body)
        with pytest.raises(QueueUnavailable, match="in an unknown form"):
            QueueClient("http://queue/xqueue/", "watcher", "s").queue_length("python")


def test_worker_grades_until_it_is_stopped(server, client):
    for _ in range(3):
        server.send(BODY)
    seen = []

    def grade(submission: Submission) -> Result:
        seen.append(submission.response)
        return Result(score=1, message="Good.")

    assert worker(client, grade).run() == 0
    assert seen == ["print(1)"] * 3
    assert [reply["score"] for reply in server.replies()] == [1, 1, 1]


@pytest.mark.parametrize(("on_error", "replies"), [("retry", 0), ("report", 1)])
def test_exception_of_grade(server, client, on_error, replies, caplog):
    server.send(BODY)

    def grade(submission: Submission) -> Result:
        raise RuntimeError(submission.response)

    assert worker(client, grade, on_error=on_error).run() == 0
    assert [reply["score"] for reply in server.replies()] == [0] * replies
    assert "grade() raised RuntimeError" in caplog.text
    assert "print(1)" not in caplog.text


def test_session_that_ended_is_renewed(server, client):
    client.login()
    server.send(BODY)
    server.end_session(client)
    pulled = client.pull("python")
    assert pulled is not None
    server.end_session(client)
    assert client.put_result(pulled.header, GOOD) == []
    assert server.replies() == [GOOD]


def test_worker_ends_after_refused_logins(server):
    refused = QueueClient(server.url, "watcher", "wrong")
    assert Worker(refused, ("python",), lambda s: Result(score=1), poll_seconds=0.001).run() == 1


@responses.activate
@pytest.mark.parametrize(("headers", "was_held"), [({"X-XQueue-Held": "1"}, True), ({}, False)])
def test_server_says_that_it_has_held_a_pull(headers, was_held) -> None:
    empty = {"return_code": 1, "content": "Queue 'python' is empty"}
    url = "https://queue.example.com/xqueue/get_submission/"
    responses.get(url, json=empty, headers=headers)
    client = QueueClient("https://queue.example.com", "watcher", "secret")
    assert client.pull("python") is None
    assert client.was_held is was_held
