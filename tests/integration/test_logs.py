"""What the logs hold after all kinds of success and failure: numbers, states and times."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
from django.core import mail
from django.utils import timezone

from tests.doubles.graders import StanfordGrader, StockWatcher
from tests.integration.conftest import eventually, grade_of, submit
from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.data import ApplyResult, ReplyToApply, UploadedFile
from xqueue_bridge.grader_api import callback as callback_views
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import accounts, api, queue, results
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent

pytestmark = pytest.mark.django_db(transaction=True)

#: Part of every code, feedback, key and password in these tests.
MARK = "tell-nobody"
CODE = json.dumps({"student_response": f"print('{MARK}')"})
REPLY = {"correct": True, "score": 1, "msg": f"<p>{MARK}</p>"}
#: Graders' machines log what they like.
OF_THE_GRADER = ("urllib3",)
PATIENCE = 60


def texts_of(record: logging.LogRecord) -> Iterator[str]:
    """Yield all that a handler could make of a record: message, arguments, extras, exceptions."""
    yield record.getMessage()
    args = record.args.values() if isinstance(record.args, dict) else record.args or ()
    for value in (*args, *vars(record).values(), *(record.exc_info or ())):
        yield f"{value} {value!r}"
        if isinstance(value, BaseException):
            yield from texts_of_exception(value)
    if record.exc_info:
        yield logging.Formatter().formatException(record.exc_info)


def texts_of_exception(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{error} {error!r} {error.args!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def leaks(records: Iterable[logging.LogRecord], private: Iterable[str]) -> list[str]:
    """Return the messages of the records that hold something private."""
    return [
        f"{record.name}: {record.getMessage()}"
        for record in records
        if not record.name.startswith(OF_THE_GRADER)
        and any(text in shown for shown in texts_of(record) for text in private)
    ]


@pytest.fixture(autouse=True)
def private(caplog, monkeypatch, secret) -> Iterator[set[str]]:
    """What no log may hold; a test adds the keys that it is given. Looked for at its end."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    texts = {MARK, secret}
    yield texts
    assert leaks(caplog.get_records("call"), texts) == []


class Machine:
    """A grader's machine, logged in, that posts whatever a test wants."""

    def __init__(self, url: str, secret: str, private: set[str]) -> None:
        self.url, self.private = url, private
        self.session = requests.Session()
        answer = self.post("login/", {"username": "watcher", "password": secret}).json()
        assert answer["content"] == "Logged in"
        private.add(self.session.cookies["xqueue_session_key"])

    def post(self, endpoint: str, form: Any = None, **kwargs: Any) -> requests.Response:
        return self.session.post(f"{self.url}/xqueue/{endpoint}", form, timeout=PATIENCE, **kwargs)

    def poll(self) -> str:
        url = f"{self.url}/xqueue/get_submission/?queue_name=python"
        return self.session.get(url, timeout=PATIENCE).json()["content"]

    def pull(self) -> dict[str, str]:
        submission = json.loads(self.poll())
        self.private.add(json.loads(submission["xqueue_header"])["submission_key"])
        return submission

    def put(self, header: str, body: str) -> str:
        answer = self.post("put_result/", {"xqueue_header": header, "xqueue_body": body})
        return answer.json()["content"]


@pytest.fixture
def machine(live_server, secret, private) -> Machine:
    return Machine(live_server.url, secret, private)


def end_leases() -> None:
    Submission.objects.filter(status="leased").update(available_at=timezone.now())


@pytest.mark.parametrize("holder", ["message", "args", "extra", "exception", "its cause"])
def test_the_search_finds(holder):
    """C129: a record that holds something private is found, wherever it holds it."""
    error = ValueError(MARK)
    if holder == "its cause":
        error, cause = ValueError(), error
        error.__cause__ = cause
    record = logging.LogRecord(
        "name",
        logging.INFO,
        "path",
        1,
        MARK if holder == "message" else "%s",
        (MARK if holder == "args" else "",) if holder != "message" else None,
        (type(error), error, None) if holder in ("exception", "its cause") else None,
    )
    if holder == "extra":
        record.request = MARK
    assert len(leaks([record], {MARK})) == 1


def test_a_good_day(live_server, secret, caplog):
    """C129: sent, pulled, downloaded, answered and applied."""
    files = (UploadedFile(f"{MARK}.py", io.BytesIO(MARK.encode()), len(MARK)),)
    learners = [submit(f"{MARK} 1", body=CODE), submit(f"{MARK} 2", body=CODE, files=files)]
    for kind in (StockWatcher, StanfordGrader):
        grader = kind(live_server.url, "watcher", secret, "python", lambda submission: REPLY)
        assert grader.cycle() == REPLY
    assert eventually(lambda: [grade_of(learner) for learner in learners] == [1, 1], PATIENCE)
    assert "answered by grader" in caplog.text


def test_bad_logins(live_server, settings, caplog):
    """C129: logins that are wrong, too many, incomplete, unreadable or no text."""
    settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "2/min"}
    url = f"{live_server.url}/xqueue/login/"
    wrong = {"username": MARK, "password": MARK}
    said = [requests.post(url, wrong, timeout=PATIENCE).json()["content"] for _ in range(3)]
    assert said[0] == "Incorrect login credentials"
    assert said[2].startswith("Too many")
    for body in (f"{{{MARK}", f'"{MARK}"', f'{{"password": "{MARK}\\ud800", "username": "x"}}'):
        kind = {"Content-Type": "application/json"}
        assert requests.post(url, body, headers=kind, timeout=PATIENCE).status_code == 200
    assert "Too many failed logins" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        MARK,
        f'["{MARK}"]',
        json.dumps({**REPLY, "score": MARK}),
        json.dumps({**REPLY, "correct": MARK}),
        json.dumps({**REPLY, "msg": [MARK]}),
        json.dumps({MARK: MARK}),
        f"{MARK}\x00\ud83d",
        "[" * 100_000 + MARK,
        json.dumps({**REPLY, "msg": MARK * 100_000}),
    ],
    ids=range(9),
)
def test_bad_replies(machine, body, caplog):
    """C129: replies that break the grade contract, in each of its points."""
    submit(MARK, body=CODE)
    header = machine.pull()["xqueue_header"]
    body = body.encode("utf-8", "surrogatepass")
    assert machine.put(header, body) == "Incorrect reply format"
    assert "Incorrect reply format" in caplog.text


def test_bad_requests(machine, caplog):
    """C129: results whose fields cannot be read."""
    for form in ({"xqueue_body": MARK}, {"xqueue_header": MARK, "xqueue_body": MARK}):
        assert machine.post("put_result/", form).json()["return_code"] == 1
    for kind in ("application/json", "text/csv", "multipart/form-data; boundary=x"):
        answer = machine.post("put_result/", f"{{{MARK}", headers={"Content-Type": kind})
        assert answer.json()["content"] == "Incorrect reply format"
    assert "Incorrect reply format" in caplog.text


def test_refused_keys(machine, caplog):
    """C129: a key that was never one, an old one, and a second result."""
    learner = submit(MARK, body=CODE)
    old = machine.pull()["xqueue_header"]
    number = json.loads(old)["submission_id"]
    forged = json.dumps({"submission_id": number, "submission_key": MARK})
    unknown = json.dumps({"submission_id": number + 1, "submission_key": MARK})
    end_leases()
    header = machine.pull()["xqueue_header"]
    assert machine.put(unknown, json.dumps(REPLY)) == "Submission does not exist"
    assert machine.put(forged, json.dumps(REPLY)) == "Incorrect key for submission"
    assert machine.put(old, json.dumps(REPLY)) == "Incorrect key for submission"
    assert machine.put(header, json.dumps(REPLY)) == ""
    assert (
        machine.put(header, json.dumps({**REPLY, "score": 0})) == "Submission already has a result"
    )
    assert eventually(lambda: grade_of(learner) == 1, PATIENCE)
    assert "Incorrect key for submission" in caplog.text


def test_handed_out_too_often(machine, settings, caplog):
    """C129: given up, by the sweeper and by a poll."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    learners = [submit(f"{MARK} {number}", body=CODE) for number in range(2)]
    machine.pull()
    end_leases()
    assert api.fail_exhausted() == 1
    machine.pull()
    end_leases()
    assert machine.poll() == "Queue 'python' is empty"
    assert eventually(lambda: [grade_of(learner) for learner in learners] == [0, 0], PATIENCE)
    assert caplog.text.count("given up after 1 deliveries") == 2


def test_links(machine, settings, private, monkeypatch, caplog):
    """C129: links that are changed, expired, or lead to what is gone."""
    submit(MARK, files=(UploadedFile(f"{MARK}.py", io.BytesIO(b"x"), 1),))
    url = json.loads(machine.pull()["xqueue_files"])[f"{MARK}.py"]
    token = url.split("/files/")[1].split("/")[0]
    private.update(part[:20] for part in token.split(":") if len(part) > 20)

    def status(address: str) -> int:
        return requests.get(address, timeout=PATIENCE).status_code

    assert status(url) == 200
    assert status(url.replace(token, token[:-1])) == 404
    settings.XQUEUE_BRIDGE = {"FILE_URL_SECONDS": -1}
    assert status(url) == 404
    settings.XQUEUE_BRIDGE = {}
    SubmissionContent.objects.update(files=[])
    assert status(url) == 404
    assert caplog.text.count("A download was refused") == 3


def test_callbacks(live_server, monkeypatch, caplog):
    """C129: callbacks that are taken, wrong, unreadable, too many, or not a queue server's."""
    learner = submit(f"{MARK} live", body=CODE)
    Submission.objects.update(transport="legacy")
    monkeypatch.setattr(callback_views, "REPLIES_LIMIT", 2)

    def post(key: str, body: str, *, to: object = learner, **fields: str) -> int:
        address = f"/courses/{COURSE}/xqueue/{to}/{PROBLEM}/score_update"
        header = json.dumps({"lms_key": key, "queue_name": MARK})
        form = {"xqueue_header": header, "xqueue_body": body, **fields}
        return requests.post(live_server.url + quote(address), form, timeout=PATIENCE).status_code

    good = json.dumps(REPLY)
    assert post(f"{MARK} live", good) == 200
    assert grade_of(learner) == 1
    submit(f"{MARK} table", user_id=learner, body=CODE)
    assert post(f"{MARK} live", MARK) == 200
    assert post(f"{MARK} table", good) == 403
    assert post(MARK, good, to=4711) == 404
    assert post(MARK, good, xqueue_header=MARK) == 400
    assert [post(f"{MARK} {number}", good) for number in range(3)] == [200, 503, 503]
    assert "XQueue callback refused (503)" in caplog.text


class SaysEverything:
    """A backend whose faults quote the learner's work, as a host's own code may."""

    in_transaction = False
    recheck_seconds = None

    def record(self, delivery: ReplyToApply) -> ApplyResult:
        raise ValueError(delivery.queue_key, delivery.reply.msg)


def test_a_delivery_that_fails(machine, settings, caplog):
    """C129: the host's own fault, with the learner's work in its message."""
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": f"{__name__}.SaysEverything"}
    submit(MARK, body=CODE)
    assert machine.put(machine.pull()["xqueue_header"], json.dumps(REPLY)) == ""
    assert eventually(lambda: ReceivedReply.objects.get().problem == "ValueError", PATIENCE)
    assert "attempt 1: ValueError" in caplog.text


def test_faults_of_ours(machine, live_server, settings, private, monkeypatch, caplog):
    """C129: a fault is logged, and mailed, without what was posted."""

    def fault(*args: object) -> None:
        raise RuntimeError("the disk is full")

    settings.ADMINS = [("admin", "admin@example.com")]
    # At DEBUG it logs all that a mail could have quoted. Nobody runs a site so.
    caplog.set_level(logging.INFO, logger="django.template")
    submit(MARK, body=CODE)
    header = machine.pull()["xqueue_header"]
    for module, name in ((results, "put_result"), (accounts, "authenticate")):
        monkeypatch.setattr(module, name, fault)
    monkeypatch.setattr(callback_views, "find_submission", fault)
    form = {"xqueue_header": header, "xqueue_body": json.dumps(REPLY)}
    assert machine.post("put_result/", form).status_code == 500
    login = {"username": "watcher", "password": MARK}
    assert machine.post("login/", login).status_code == 500
    form["xqueue_header"] = json.dumps({"lms_key": MARK})
    address = f"/courses/{COURSE}/xqueue/7/{PROBLEM}/score_update"
    answer = requests.post(live_server.url + quote(address), form, timeout=PATIENCE)
    assert answer.status_code == 500
    assert len(mail.outbox) == 3
    assert [text for text in private for sent in mail.outbox if text in sent.body] == []
    assert "the disk is full" in caplog.text


def test_a_crowded_queue(machine, monkeypatch):
    """C129: a pull that others were always faster at."""
    submit(MARK, body=CODE)
    monkeypatch.setattr(queue, "_claim", lambda *args: None)
    assert machine.poll().startswith("Error fetching submission")
