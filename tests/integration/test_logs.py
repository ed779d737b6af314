"""Log records of each kind of success and failure hold no private text."""

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
from xqueue_bridge.grader_replies.backends.base import OnApplied
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import accounts, api, legacy, portable_pull, queue, results
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent

pytestmark = pytest.mark.django_db(transaction=True)

#: Part of every answer, feedback, key and password in these tests.
MARK = "private-text"
CODE = json.dumps({"student_response": f"print('{MARK}')"})
REPLY = {"correct": True, "score": 1, "msg": f"<p>{MARK}</p>"}
#: Loggers of the test's own grader client.
OF_THE_GRADER = ("urllib3",)
TIMEOUT = 60


def texts_of(record: logging.LogRecord) -> Iterator[str]:
    """Yield every text that a log handler could write: message, arguments, extras, exceptions."""
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
    """Return the messages of the records that contain one of the ``private`` texts."""
    return [
        f"{record.name}: {record.getMessage()}"
        for record in records
        if not record.name.startswith(OF_THE_GRADER)
        and any(text in shown for shown in texts_of(record) for text in private)
    ]


@pytest.fixture(autouse=True)
def private(caplog, monkeypatch, secret) -> Iterator[set[str]]:
    """Collect texts that no log record may contain; search the records when the test ends."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    texts = {MARK, secret}
    yield texts
    assert leaks(caplog.get_records("call"), texts) == []


class HttpGrader:
    """A grader that is logged in over HTTP and posts what a test passes."""

    def __init__(self, url: str, secret: str, private: set[str]) -> None:
        self.url, self.private = url, private
        self.session = requests.Session()
        response = self.post("login/", {"username": "watcher", "password": secret}).json()
        assert response["content"] == "Logged in"
        private.add(self.session.cookies["xqueue_session_key"])

    def post(self, endpoint: str, form: Any = None, **kwargs: Any) -> requests.Response:
        return self.session.post(f"{self.url}/xqueue/{endpoint}", form, timeout=TIMEOUT, **kwargs)

    def poll(self) -> str:
        url = f"{self.url}/xqueue/get_submission/?queue_name=python"
        return self.session.get(url, timeout=TIMEOUT).json()["content"]

    def pull(self) -> dict[str, str]:
        submission = json.loads(self.poll())
        self.private.add(json.loads(submission["xqueue_header"])["submission_key"])
        return submission

    def put(self, header: str, body: str) -> str:
        response = self.post("put_result/", {"xqueue_header": header, "xqueue_body": body})
        return response.json()["content"]


@pytest.fixture
def http_grader(live_server, secret, private) -> HttpGrader:
    return HttpGrader(live_server.url, secret, private)


def end_leases() -> None:
    Submission.objects.filter(status="leased").update(available_at=timezone.now())


@pytest.mark.parametrize("part", ["message", "args", "extra", "exception", "its cause"])
def test_private_text_is_found_in_each_part_of_a_record(part):
    """C129: the search of these tests finds a private text in each part of a log record."""
    error = ValueError(MARK)
    if part == "its cause":
        error, cause = ValueError(), error
        error.__cause__ = cause
    record = logging.LogRecord(
        "name",
        logging.INFO,
        "path",
        1,
        MARK if part == "message" else "%s",
        (MARK if part == "args" else "",) if part != "message" else None,
        (type(error), error, None) if part in ("exception", "its cause") else None,
    )
    if part == "extra":
        record.request = MARK
    assert len(leaks([record], {MARK})) == 1


def test_successful_submissions_log_no_private_text(live_server, secret, caplog):
    """C129: submissions are sent, pulled, downloaded, answered and applied."""
    files = (UploadedFile(f"{MARK}.py", io.BytesIO(MARK.encode()), len(MARK)),)
    learners = [submit(f"{MARK} 1", body=CODE), submit(f"{MARK} 2", body=CODE, files=files)]
    for kind in (StockWatcher, StanfordGrader):
        grader = kind(live_server.url, "watcher", secret, "python", lambda submission: REPLY)
        assert grader.cycle() == REPLY
    assert eventually(lambda: [grade_of(learner) for learner in learners] == [1, 1], TIMEOUT)
    assert "answered by grader" in caplog.text


def test_failed_logins_log_no_private_text(live_server, settings, caplog):
    """C129: logins are wrong, too many, incomplete, not parsable, or not text."""
    settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "2/min"}
    url = f"{live_server.url}/xqueue/login/"
    wrong = {"username": MARK, "password": MARK}
    contents = [requests.post(url, wrong, timeout=TIMEOUT).json()["content"] for _ in range(3)]
    assert contents[0] == "Incorrect login credentials"
    assert contents[2].startswith("Too many")
    for body in (f"{{{MARK}", f'"{MARK}"', f'{{"password": "{MARK}\\ud800", "username": "x"}}'):
        kind = {"Content-Type": "application/json"}
        assert requests.post(url, body, headers=kind, timeout=TIMEOUT).status_code == 200
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
    ],
    ids=range(8),
)
def test_invalid_replies_log_no_private_text(http_grader, body, caplog):
    """C129: replies violate each condition of the grade contract."""
    submit(MARK, body=CODE)
    header = http_grader.pull()["xqueue_header"]
    body = body.encode("utf-8", "surrogatepass")
    assert http_grader.put(header, body) == "Incorrect reply format"
    assert "Incorrect reply format" in caplog.text


def test_shortened_feedback_is_not_logged(http_grader):
    """C129: feedback over the limit is stored, shortened."""
    submit(MARK, body=CODE)
    body = json.dumps({**REPLY, "msg": MARK * 100_000})
    assert http_grader.put(http_grader.pull()["xqueue_header"], body) == ""


def test_unreadable_results_log_no_private_text(http_grader, caplog):
    """C129: results have missing or unreadable fields."""
    for form in ({"xqueue_body": MARK}, {"xqueue_header": MARK, "xqueue_body": MARK}):
        assert http_grader.post("put_result/", form).json()["return_code"] == 1
    for kind in ("application/json", "text/csv", "multipart/form-data; boundary=x"):
        response = http_grader.post("put_result/", f"{{{MARK}", headers={"Content-Type": kind})
        assert response.json()["content"] == "Incorrect reply format"
    assert "Incorrect reply format" in caplog.text


def test_rejected_pull_keys_log_no_private_text(http_grader, caplog):
    """C129: results have an unknown key, an expired key, or come a second time."""
    learner = submit(MARK, body=CODE)
    old = http_grader.pull()["xqueue_header"]
    submission_id = json.loads(old)["submission_id"]
    forged = json.dumps({"submission_id": submission_id, "submission_key": MARK})
    unknown = json.dumps({"submission_id": submission_id + 1, "submission_key": MARK})
    end_leases()
    header = http_grader.pull()["xqueue_header"]
    assert http_grader.put(unknown, json.dumps(REPLY)) == "Submission does not exist"
    assert http_grader.put(forged, json.dumps(REPLY)) == "Incorrect key for submission"
    assert http_grader.put(old, json.dumps(REPLY)) == "Incorrect key for submission"
    assert http_grader.put(header, json.dumps(REPLY)) == ""
    assert (
        http_grader.put(header, json.dumps({**REPLY, "score": 0}))
        == "Submission already has a result"
    )
    assert eventually(lambda: grade_of(learner) == 1, TIMEOUT)
    assert "Incorrect key for submission" in caplog.text


def test_exhausted_submissions_log_no_private_text(http_grader, settings, caplog):
    """C129: submissions fail after MAX_DELIVERIES, in a sweep and in a poll."""
    settings.XQUEUE_BRIDGE = {"MAX_DELIVERIES": 1}
    learners = [submit(f"{MARK} {number}", body=CODE) for number in range(2)]
    http_grader.pull()
    end_leases()
    assert api.fail_exhausted() == 1
    http_grader.pull()
    end_leases()
    assert http_grader.poll() == "Queue 'python' is empty"
    assert eventually(lambda: [grade_of(learner) for learner in learners] == [0, 0], TIMEOUT)
    assert caplog.text.count("failed after 1 deliveries") == 2


def test_rejected_file_urls_log_no_private_text(
    http_grader, settings, private, monkeypatch, caplog
):
    """C129: file URLs are changed, expired, or lead to a deleted file."""
    submit(MARK, files=(UploadedFile(f"{MARK}.py", io.BytesIO(b"x"), 1),))
    url = json.loads(http_grader.pull()["xqueue_files"])[f"{MARK}.py"]
    token = url.split("/files/")[1].split("/")[0]
    private.update(part[:20] for part in token.split(":") if len(part) > 20)

    def status(file_url: str) -> int:
        return requests.get(file_url, timeout=TIMEOUT).status_code

    assert status(url) == 200
    assert status(url.replace(token, token[:-1])) == 404
    settings.XQUEUE_BRIDGE = {"FILE_URL_SECONDS": -1}
    assert status(url) == 404
    settings.XQUEUE_BRIDGE = {}
    SubmissionContent.objects.update(files=[])
    assert status(url) == 404
    assert caplog.text.count("A download was refused") == 3


def test_callbacks_log_no_private_text(live_server, monkeypatch, caplog):
    """C129: callbacks are accepted, invalid, not parsable, too many, or not for this transport."""
    learner = submit(f"{MARK} live", body=CODE)
    Submission.objects.update(transport="legacy")
    monkeypatch.setattr(legacy, "MAX_UNMATCHED_AT_BLOCK", 2)

    def post(key: str, body: str, *, to: object = learner, **fields: str) -> int:
        path = f"/courses/{COURSE}/xqueue/{to}/{PROBLEM}/score_update"
        header = json.dumps({"lms_key": key, "queue_name": MARK})
        form = {"xqueue_header": header, "xqueue_body": body, **fields}
        return requests.post(live_server.url + quote(path), form, timeout=TIMEOUT).status_code

    good = json.dumps(REPLY)
    assert post(f"{MARK} live", good) == 200
    assert eventually(lambda: grade_of(learner) == 1, TIMEOUT)
    submit(f"{MARK} table", user_id=learner, body=CODE)
    assert post(f"{MARK} live", MARK) == 200
    assert post(f"{MARK} table", good) == 403
    assert post(MARK, good, to=4711) == 404
    assert post(MARK, good, xqueue_header=MARK) == 400
    assert [post(f"{MARK} {number}", good) for number in range(3)] == [200, 200, 503]
    assert "XQueue callback refused (503)" in caplog.text


class RaisesWithPrivateText:
    """A reply backend whose exceptions quote the learner's answer, as a host's code may."""

    needs_block_lock = True
    recheck_seconds = None
    state_is_ours = False

    def apply(self, to_apply: ReplyToApply, on_applied: OnApplied) -> ApplyResult:
        raise ValueError(to_apply.queue_key, to_apply.reply.msg)


def test_exception_of_a_host_backend_logs_no_private_text(http_grader, settings, caplog):
    """C129: the host's reply backend raises with the learner's answer in the message."""
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": f"{__name__}.RaisesWithPrivateText"}
    submit(MARK, body=CODE)
    assert http_grader.put(http_grader.pull()["xqueue_header"], json.dumps(REPLY)) == ""
    assert eventually(lambda: ReceivedReply.objects.get().last_error == "ValueError", TIMEOUT)
    assert "attempt 1: ValueError" in caplog.text


def test_unexpected_errors_log_and_mail_no_private_text(
    http_grader, live_server, settings, private, monkeypatch, caplog
):
    """C129: an unexpected exception is logged and mailed without the posted data."""

    def fail(*args: object) -> None:
        raise RuntimeError("the disk is full")

    settings.ADMINS = [("admin", "admin@example.com")]
    # At DEBUG this logger writes every template variable of the mail. Sites do not run so.
    caplog.set_level(logging.INFO, logger="django.template")
    submit(MARK, body=CODE)
    header = http_grader.pull()["xqueue_header"]
    for module, name in ((results, "put_result"), (accounts, "authenticate")):
        monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(legacy, "receive", fail)
    form = {"xqueue_header": header, "xqueue_body": json.dumps(REPLY)}
    assert http_grader.post("put_result/", form).status_code == 500
    login = {"username": "watcher", "password": MARK}
    assert http_grader.post("login/", login).status_code == 500
    form["xqueue_header"] = json.dumps({"lms_key": MARK})
    path = f"/courses/{COURSE}/xqueue/7/{PROBLEM}/score_update"
    response = requests.post(live_server.url + quote(path), form, timeout=TIMEOUT)
    assert response.status_code == 500
    assert len(mail.outbox) == 3
    assert [text for text in private for sent in mail.outbox if text in sent.body] == []
    assert "the disk is full" in caplog.text


def test_contended_pull_logs_no_private_text(http_grader, monkeypatch):
    """C129: other graders claim every submission first; the pull is answered with an error."""
    submit(MARK, body=CODE)
    monkeypatch.setattr(queue, "pull_at_once", lambda *args: (None, False))
    monkeypatch.setattr(portable_pull, "_claim", lambda *args: None)
    assert http_grader.poll().startswith("Error fetching submission")
