"""The endpoint submit: a complete XQueue server for legacy submitters."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError
from django.test import Client
from django.test.client import BOUNDARY, encode_multipart
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from demo.course import course
from demo.runtime import Submitted, load_block, submit
from tests import odd_json
from tests.doubles import xqueue_server
from tests.property_examples import few
from tests.submission_queue.factories import COURSE, GOOD_REPLY, PROBLEM, GraderClient, make_grader
from xqueue_bridge.grader_replies.api import apply_due
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.protocol.headers import SITES_HEADER
from xqueue_bridge.submission_queue import api, queue
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.xqueue_service.models import TransportOverride

LMS = "http://lms.example.com"
CALLBACK = f"{LMS}/courses/{COURSE}/xqueue/7/{PROBLEM}/score_update"
HEADER = {"lms_callback_url": CALLBACK, "lms_key": "key-1", "queue_name": "python"}
BODY = '{"student_response": "print(1)"}'


@pytest.fixture(autouse=True)
def _site(settings, db) -> None:
    settings.XQUEUE_BRIDGE = {"CALLBACK_PREFIXES": (f"{LMS}/courses/",)}


@pytest.fixture
def lms() -> GraderClient:
    """Return an LMS that is logged in with its account."""
    client = GraderClient(api.create_grader("lms", may_submit=True), "lms")
    assert client.login()["return_code"] == 0
    return client


def post(
    client: GraderClient, header: Any = HEADER, *, sites: str = "", **form: Any
) -> dict[str, Any]:
    text = header if isinstance(header, str) else json.dumps(header)
    form = {"xqueue_header": text, "xqueue_body": BODY, **form}
    form = {name: value for name, value in form.items() if value is not None}
    response = client.http.post("/xqueue/submit/", form, headers={SITES_HEADER: sites})
    assert response.status_code == 200
    return response.json()


def test_submission_is_stored(lms, django_assert_num_queries):
    """C49, C54: the content is the queue's length as text. Five statements: two writes."""
    lms.ask("get_queuelen", queue_name="any")  # the session is cached from here on
    with django_assert_num_queries(3):
        assert post(lms) == {"return_code": 0, "content": "1"}
    assert post(lms, {**HEADER, "lms_key": "key-2"}) == {"return_code": 0, "content": "2"}
    stored = Submission.objects.earliest("pk")
    assert (stored.transport, stored.queue_name, stored.queue_key) == ("submit", "python", "key-1")
    assert (stored.user_id, stored.course_key, stored.usage_key) == (7, COURSE, PROBLEM)
    assert stored.content.header == json.dumps(HEADER)
    assert stored.content.body == BODY


def test_answer_above_the_maximum_of_pending_answers_is_refused(lms, settings, caplog):
    settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "MAX_PENDING_ANSWERS": 1}
    assert post(lms)["return_code"] == 0
    assert post(lms, {**HEADER, "lms_key": "key-2"}) == {
        "return_code": 1,
        "content": "The learner has the maximum of pending answers to this problem: 1",
    }
    assert "A submission was not stored: MAX_PENDING_ANSWERS (account " in caplog.text
    assert Submission.objects.count() == 1


def test_get_is_refused(lms):
    """C46: submit requires POST."""
    response = lms.http.get("/xqueue/submit/").json()
    assert response == {"return_code": 1, "content": "Queue requests should use HTTP POST"}


@pytest.mark.parametrize("path", ["/xqueue/submit/", "/xqueue/submit"])
def test_submit_without_a_session_redirects_to_login(path):
    """C45: the login that follows says login_required."""
    response = Client().post(path, {"xqueue_header": json.dumps(HEADER), "xqueue_body": BODY})
    assert response.status_code == 302
    assert response["Location"].startswith("/xqueue/login/?next=")
    assert not Submission.objects.exists()


def test_grader_account_may_not_submit(grader, caplog):
    """Only an account with ``may_submit`` can submit; the log names the account."""
    grader.login()
    assert post(grader) == {"return_code": 1, "content": "This account may not submit"}
    assert [record.grader_id for record in caplog.records] == [Grader.objects.get().pk]
    assert not Submission.objects.exists()


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("not JSON", {}),
        ("[]", {}),
        ("{}", {}),
        ({**HEADER, "lms_key": None}, {}),
        ({**HEADER, "queue_name": ""}, {}),
        ({**HEADER, "lms_callback_url": "http://lms.example.com/somewhere"}, {}),
        ({**HEADER, "lms_callback_url": CALLBACK.replace("lms.", "other.")}, {}),
        ({**HEADER, "lms_callback_url": CALLBACK.replace("http:", "file:")}, {}),
        ({**HEADER, "queue_name": "py\u200bthon"}, {}),
        (HEADER, {"xqueue_body": None}),
        (HEADER, {"xqueue_body": "\0"}),
        (HEADER, {"xqueue_header": None}),
    ],
)
def test_invalid_header_or_body_is_refused(lms, header, form):
    """C47: callback URLs must be those of the LMS and below CALLBACK_PREFIXES."""
    response = post(lms, header, **form)
    assert response == {"return_code": 1, "content": "Queue request has invalid format"}
    assert not Submission.objects.exists()


def test_unknown_queue_is_refused_by_its_name(lms, settings, caplog):
    """C48, C129: the response has the queue's name, and the log account, queue and learner."""
    settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "REJECT_UNKNOWN_QUEUES": True}
    assert post(lms) == {"return_code": 1, "content": "Queue 'python' not found"}
    assert "A submission was not stored: unknown queue (account " in caplog.text
    assert f"queue 'python', learner 7, block {PROBLEM})" in caplog.text


def test_queue_name_that_is_a_number_is_stored_as_text(lms):
    """C51: the number is stored as text."""
    assert post(lms, {**HEADER, "queue_name": 5})["return_code"] == 0
    assert Submission.objects.get().queue_name == "5"


def test_files_have_the_name_of_their_part(lms, settings):
    """C52: files may be larger than DATA_UPLOAD_MAX_MEMORY_SIZE."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    big = b"x" * 100_000
    files = {
        "a.py": SimpleUploadedFile("ignored.py", b"print(1)"),
        "b.bin": SimpleUploadedFile("b.bin", big),
    }
    assert post(lms, **files)["return_code"] == 0
    stored = Submission.objects.get().content.stored_files()
    assert [(file.name, file.size) for file in stored] == [("a.py", 8), ("b.bin", 100_000)]


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_FILE_BYTES"])
def test_files_over_a_limit_are_refused(lms, settings, limit):
    settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, limit: 1}
    files = {name: SimpleUploadedFile(name, b"print(1)") for name in ("a.py", "b.py")}
    assert post(lms, **files)["return_code"] == 1
    assert not Submission.objects.exists()


def test_submission_in_json_is_stored(lms):
    """C47: a body that is no multipart form is read like a grader's."""
    form = {"xqueue_header": json.dumps(HEADER), "xqueue_body": BODY}
    response = lms.http.post("/xqueue/submit/", form, content_type="application/json")
    assert response.json() == {"return_code": 0, "content": "1"}


def test_multipart_body_over_all_limits_is_refused_unread(lms, settings):
    """C47: files and texts are bounded together, before Django's parser stores them."""
    form = {"xqueue_header": json.dumps(HEADER), "xqueue_body": BODY}
    size = len(encode_multipart(BOUNDARY, form))

    def response(more: int) -> dict[str, Any]:
        sizes = {"MAX_FILES": 1, "MAX_FILE_BYTES": size - 100 + more, "MAX_BODY_BYTES": 50}
        settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, **sizes}
        return lms.http.post("/xqueue/submit/", form).json()

    assert response(-1) == {"return_code": 1, "content": "Queue request has invalid format"}
    assert response(0) == {"return_code": 0, "content": "1"}


def test_database_error_is_an_envelope_and_its_text_is_not_logged(lms, monkeypatch, caplog):
    """C54, C129: the log has the exception's class and nothing of the submission."""

    def fail(new: object) -> int:
        raise DatabaseError("INSERT print(1)")

    monkeypatch.setattr(queue, "enqueue", fail)
    assert post(lms) == {"return_code": 1, "content": "The submission could not be stored"}
    assert "DatabaseError (account " in caplog.text
    assert "queue 'python', learner " in caplog.text
    assert "print(1)" not in caplog.text


class TestForwarding:
    """Submissions of courses without a transport override are forwarded to the legacy server."""

    @pytest.fixture
    def server(self, settings):
        with xqueue_server.running() as double:
            double.queues.add("python")
            # The platform's own class is sent to us by XQUEUE_INTERFACE.
            settings.XQUEUE_INTERFACE = {"url": "http://ourselves.invalid"}
            settings.XQUEUE_BRIDGE = {
                **settings.XQUEUE_BRIDGE,
                "LEGACY_XQUEUE_INTERFACE": {"url": double.url, "django_auth": double.auth},
            }
            yield double

    def test_submission_without_an_override_is_forwarded_unchanged(self, lms, server):
        """C28: header, body and files reach the legacy server unchanged."""
        file = SimpleUploadedFile("a.py", b"print(1)")
        assert post(lms, **{"a.py": file}) == {"return_code": 0, "content": "1"}
        [item] = server.items
        assert item.form == {"xqueue_header": json.dumps(HEADER), "xqueue_body": BODY}
        assert item.files == [("a.py", "a.py", b"print(1)")]
        assert not Submission.objects.exists()

    def test_submission_with_an_override_is_stored(self, lms, server):
        TransportOverride.objects.create(scope="course", name=str(COURSE))
        assert post(lms)["return_code"] == 0
        assert server.items == []
        assert Submission.objects.count() == 1

    def test_refusal_of_the_legacy_server_is_returned(self, lms, server):
        server.queues.clear()
        assert post(lms) == {"return_code": 1, "content": "Queue 'python' not found"}

    def test_legacy_server_that_is_down_is_a_connection_error(self, lms, server, settings):
        legacy = {"url": "http://127.0.0.1:9"}
        settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "LEGACY_XQUEUE_INTERFACE": legacy}
        assert post(lms) == {"return_code": 1, "content": "cannot connect to server"}

    def test_submission_that_comes_back_is_refused(
        self, transactional_db, live_server, settings, caplog
    ):
        """A site whose legacy server is itself takes two workers for it, not all of them."""
        secret = api.create_grader("lms", may_submit=True)
        legacy = {"url": live_server.url, "django_auth": {"username": "lms", "password": secret}}
        settings.XQUEUE_INTERFACE = {"url": live_server.url}
        settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "LEGACY_XQUEUE_INTERFACE": legacy}
        submitter = GraderClient(secret, "lms")
        submitter.login()
        expected = {"return_code": 1, "content": "The queue server forwards submissions to itself"}
        assert post(submitter) == expected
        assert caplog.text.count("forwarded in a circle") == 1
        assert "LEGACY_XQUEUE_INTERFACE" in caplog.text

    def test_submission_passes_other_sites_but_not_without_end(self, lms, server):
        """Two sites in a row are no circle; a long row is not forwarded."""
        assert post(lms, sites="other")["return_code"] == 0
        assert post(lms, sites=",".join("abcde"))["return_code"] == 1
        assert len(server.items) == 1


def test_block_that_submits_over_http_to_this_site_gets_its_score(
    settings, transactional_db, live_server
):
    """C28, C41: the result is posted to the callback URL of the same site."""
    learner = get_user_model().objects.create_user("learner").pk
    secret = api.create_grader("lms", may_submit=True)
    watcher = GraderClient(api.create_grader("watcher", ["*"]))
    account = {"username": "lms", "password": secret}
    settings.LMS_ROOT_URL = live_server.url
    settings.XQUEUE_INTERFACE = {"url": live_server.url, "django_auth": account}
    settings.XQUEUE_BRIDGE = {"CALLBACK_PREFIXES": (f"{live_server.url}/courses/",)}
    problem = course().problems[0]
    block = load_block(learner, course().key, problem.usage_key)
    assert submit(block, ["print(1)"]) == Submitted(True)
    [sent] = Submission.objects.all()
    assert sent.transport == "submit"
    watcher.login()
    pulled = watcher.pull(sent.queue_name)
    # As if the learner's state had been saved some seconds ago.
    Submission.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert watcher.put(pulled.header, GOOD_REPLY)["return_code"] == 0
    apply_due()
    apply_due()
    state = learner_state.read_state(learner, problem.usage_key, course().key)
    [entry] = state["correct_map"].values()
    assert (entry["correctness"], entry["queuestate"]) == ("correct", None)
    assert set(ReceivedReply.objects.values_list("status", flat=True)) == {"applied"}
    assert sorted(Submission.objects.values_list("transport", flat=True)) == ["legacy", "submit"]


@pytest.fixture
def everything(db) -> GraderClient:
    """Return a grader that may pull from each queue."""
    return make_grader("*")


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=few(40), deadline=None
)
@given(header=odd_json.texts(HEADER), body=odd_json.texts(json.loads(BODY)))
def test_any_header_and_body_are_refused_or_can_be_pulled(lms, everything, header, body):
    """C49: what is accepted is what a grader gets."""
    Submission.objects.all().delete()
    if post(lms, header, xqueue_body=body)["return_code"]:
        assert not Submission.objects.exists()
        return
    pulled = everything.pull(Submission.objects.get().queue_name)
    assert pulled
    assert pulled.body == body
