"""The protocol's endpoints as a grader meets them."""

from __future__ import annotations

import io
import json
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.test.client import MULTIPART_CONTENT
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.submission_queue.factories import (
    GOOD_REPLY,
    PROBLEM,
    DisconnectedBody,
    GraderClient,
    make_grader,
    new_submission,
)
from xqueue_bridge.data import UploadedFile
from xqueue_bridge.submission_queue import api, queue
from xqueue_bridge.submission_queue.models import Grader, Submission, SubmissionContent

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
ENDPOINTS = ["get_queuelen", "get_submission", "put_result"]


class TestLogin:
    def test_get_sets_a_csrf_cookie(self, client):
        """C55: GET login answers 200 and sets a csrftoken cookie."""
        response = client.get("/xqueue/login/")
        assert response.status_code == 200
        assert response.cookies["csrftoken"].value

    def test_get_is_no_success(self, client):
        """C42, C56: GET login says login_required, so it cannot be taken for a login."""
        assert client.get("/xqueue/login/").json() == {
            "return_code": 1,
            "content": "login_required",
        }

    def test_post(self):
        """C43: a good login says so and sets the session's cookie."""
        grader = GraderClient(api.create_grader("watcher", ["python"]))
        assert grader.login() == {"return_code": 0, "content": "Logged in"}
        assert grader.http.cookies["xqueue_session_key"].value

    def test_a_bad_login(self, grader):
        """C43: the response to a failed login is the protocol's text."""
        assert grader.login(password="wrong") == {
            "return_code": 1,
            "content": "Incorrect login credentials",
        }

    @pytest.mark.parametrize("missing", ["username", "password"])
    def test_a_missing_field(self, grader, missing):
        """C43, C44: a login without name or password is insufficient, never a fault."""
        assert grader.login(**{missing: None}) == {
            "return_code": 1,
            "content": "Insufficient login info",
        }

    def test_without_csrf_token_and_with_a_stale_session(self, grader):
        """C57: login needs no token, whatever cookies come with it."""
        grader.http.cookies["sessionid"] = "stale"
        grader.http.cookies["xqueue_session_key"] = "stale"
        assert grader.login()["return_code"] == 0

    def test_with_a_csrf_token(self, grader):
        """C57: a token does no harm either."""
        token = grader.http.get("/xqueue/login/").cookies["csrftoken"].value
        form = {"username": grader.name, "password": grader.secret}
        response = grader.http.post("/xqueue/login/", form, headers={"x-csrftoken": token})
        assert response.json()["return_code"] == 0

    def test_basic_auth_header_is_ignored(self, grader):
        """C58: an Authorization header meant for a proxy changes nothing."""
        basic = {"authorization": "Basic eDp5"}
        login = grader.http.get("/xqueue/login/", headers=basic)
        assert login.status_code == 200
        answer = grader.http.get("/xqueue/get_queuelen/?queue_name=python", headers=basic)
        assert answer.json() == {"return_code": 0, "content": 0}

    def test_many_workers_one_name(self, grader):
        """C59: workers that log in with one name do not log one another out."""
        workers = [GraderClient(grader.secret) for _ in range(4)]
        for worker in workers:
            worker.login()
        assert [w.ask("get_queuelen", queue_name="python")["return_code"] for w in workers] == [
            0
        ] * 4

    def test_people_do_not_get_in(self):
        """C60: an LMS user's name and password open no grader's session."""
        get_user_model().objects.create_superuser("staff", password="their own")
        assert GraderClient("their own", "staff").login()["return_code"] == 1

    def test_graders_do_not_get_out(self, grader):
        """C60: a grader's session is no LMS session."""
        assert "sessionid" not in grader.http.cookies
        assert grader.http.get("/admin/").status_code == 302

    def test_the_cookie_stays_below_the_queue(self, grader):
        """C60: the session's cookie is sent to the queue's addresses only, and not to scripts."""
        cookie = grader.http.cookies["xqueue_session_key"]
        assert cookie["path"] == "/xqueue/"
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"

    def test_failures_are_throttled(self, grader, settings):
        """C61: after too many failures, a source is told to wait; a right secret is taken."""
        settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "3/min"}
        wrong = [grader.login(password="wrong")["content"] for _ in range(4)]
        assert wrong[:3] == ["Incorrect login credentials"] * 3
        assert wrong[3] == "Too many failed logins. Please try again later."
        assert grader.login() == {"return_code": 0, "content": "Logged in"}

    def test_good_logins_are_not(self, grader, settings):
        """C61: a client may log in before every poll."""
        settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "3/min"}
        assert {grader.login()["return_code"] for _ in range(10)} == {0}

    def test_failures_of_others_with_its_name_keep_no_grader_out(self, grader, settings):
        """C61: failed logins with a grader's name, from many addresses, do not lock it out."""
        settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "1/min"}
        form = {"username": grader.name, "password": "wrong"}
        for number in range(30):
            grader.http.post("/xqueue/login/", form, REMOTE_ADDR=f"10.0.0.{number}")
        assert grader.login() == {"return_code": 0, "content": "Logged in"}

    def test_failures_are_counted_for_each_client_of_a_trusted_proxy(self, grader, settings):
        """C61: one client's failures are not another's, and not the proxy's."""
        settings.XQUEUE_BRIDGE = {
            "LOGIN_FAILURE_RATE": "1/min",
            "TRUSTED_PROXIES": ["127.0.0.1"],
        }
        form = {"username": grader.name, "password": "wrong"}
        told = [
            grader.http.post("/xqueue/login/", form, headers={"x-forwarded-for": client}).json()
            for client in ("192.0.2.1", "192.0.2.1", "192.0.2.2")
        ]
        assert [answer["content"][:9] for answer in told] == ["Incorrect", "Too many ", "Incorrect"]

    def test_failures_are_logged_and_written_down(self, grader, settings, caplog):
        """C129: the account and the source are named, up to the rate; no text of the form is."""
        settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "2/min"}
        grader.login(password="private-text")
        grader.login(username="private-text", password=grader.secret)
        for _ in range(5):
            grader.login(password="private-text")
        account = Grader.objects.get()
        assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
            f"Failed login with grader {account.pk} from 127.0.0.1",
            "Failed login with an unknown name from 127.0.0.1",
            "Too many failed logins from 127.0.0.1: no more are logged for now",
        ]
        assert account.last_failed_login_at is not None

    @pytest.mark.parametrize("name", ["watcher ", " watcher", "watcher\t"])
    def test_name_with_spaces_around_it(self, grader, name):
        """C43: it is the same name, on every database."""
        assert grader.login(username=name) == {"return_code": 0, "content": "Logged in"}

    @hypothesis_settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
    )
    @given(
        form=st.dictionaries(
            st.sampled_from(["username", "password", "next"]), st.text(st.characters())
        )
    )
    def test_any_form_is_answered_with_an_envelope(self, client, form):
        """C44: no login form causes a server error."""
        response = client.post("/xqueue/login/", json.dumps(form), content_type="application/json")
        assert response.status_code == 200
        assert response.json()["return_code"] == 1

    @pytest.mark.parametrize("field", ["username", "password"])
    def test_a_field_that_is_no_text(self, grader, field):
        """C44: half of a surrogate pair, which JSON can hold, is a bad login and no fault."""
        form = {"username": grader.name, "password": grader.secret, field: "\ud800"}
        response = grader.http.post("/xqueue/login/", form, content_type="application/json")
        assert response.json() == {"return_code": 1, "content": "Incorrect login credentials"}

    def test_a_form_that_is_too_long(self, client, settings):
        """C44: a large request without a session fills neither memory nor disk."""
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
        answers = [
            client.post("/xqueue/login/", {"file": io.BytesIO(b"x" * 2000)}),
            client.post("/xqueue/login/", {"password": "x" * 2000}),
            client.post("/xqueue/login/", {"password": "x" * 2000}, "application/json"),
        ]
        assert {answer["X-XQueue-Problem"] for answer in answers} == {"body: RequestDataTooBig"}
        assert {answer.json()["content"] for answer in answers} == {"Insufficient login info"}

    @pytest.mark.parametrize("endpoint", ["login", "put_result"])
    def test_a_charset_of_no_text(self, grader, endpoint):
        """C44, C84: a form with an unknown charset is not a server error."""
        part = b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\n\xff\r\n--x--'
        answer = grader.http.generic(
            "POST", f"/xqueue/{endpoint}/", part, "multipart/form-data; boundary=x; charset=idna"
        )
        assert (answer.status_code, answer.json()["return_code"]) == (200, 1)
        assert answer["X-XQueue-Problem"] == "body: ParseError"

    @pytest.mark.parametrize("endpoint", ["login", "put_result"])
    def test_a_grader_that_hangs_up(self, grader, endpoint):
        """C44, C84: a form that is cut off is not a server error."""
        body = {"wsgi.input": DisconnectedBody(b""), "CONTENT_LENGTH": 5}
        answer = grader.http.post(f"/xqueue/{endpoint}/", **body)
        assert (answer.status_code, answer.json()["return_code"]) == (200, 1)

    def test_an_unreadable_form(self, client):
        response = client.post("/xqueue/login/", "{", content_type="application/json")
        assert response.json() == {"return_code": 1, "content": "Insufficient login info"}


class TestSession:
    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    def test_without_one(self, client, endpoint):
        """C45, C62: without a session the answer is a redirect to login."""
        for response in (client.get(f"/xqueue/{endpoint}/"), client.post(f"/xqueue/{endpoint}/")):
            assert response.status_code == 302
            assert response["Location"] == f"/xqueue/login/?next=%2Fxqueue%2F{endpoint}%2F"

    def test_expired_then_renewed(self, grader, settings):
        """C62: an expired session redirects; logging in again helps."""
        settings.XQUEUE_BRIDGE = {"SESSION_SECONDS": -1}
        assert grader.http.get("/xqueue/get_queuelen/?queue_name=python").status_code == 302
        settings.XQUEUE_BRIDGE = {}
        grader.login()
        assert grader.ask("get_queuelen", queue_name="python")["return_code"] == 0

    def test_logout_ends_this_session_only(self, grader):
        """C53, C102: logout, by GET or POST, ends the session it came with and no other."""
        other = GraderClient(grader.secret)
        other.login()
        kept = grader.http.cookies["xqueue_session_key"].value
        assert grader.http.get("/xqueue/logout/").json() == {
            "return_code": 0,
            "content": "Goodbye",
        }
        grader.http.cookies["xqueue_session_key"] = kept
        assert grader.http.get("/xqueue/get_queuelen/?queue_name=python").status_code == 302
        assert other.ask("get_queuelen", queue_name="python")["return_code"] == 0
        assert other.http.post("/xqueue/logout/").json()["return_code"] == 0

    def test_status_needs_none(self, client):
        """C53: the status needs no login."""
        assert client.get("/xqueue/status/").json() == {"return_code": 0, "content": "OK"}


class TestQueueLength:
    def test_it_counts_what_can_be_had_now(self, grader):
        """C63: the length is an int and leaves out what is leased."""
        for number in range(3):
            queue.enqueue(new_submission(queue_key=str(number)))
        grader.pull()
        assert grader.ask("get_queuelen", queue_name="python") == {
            "return_code": 0,
            "content": 2,
        }

    @pytest.mark.parametrize("endpoint", ["get_queuelen", "get_submission"])
    def test_the_parameter_is_required(self, grader, endpoint):
        """C64: a request without queue_name is told so."""
        assert grader.ask(endpoint) == {
            "return_code": 1,
            "content": f"'{endpoint}' must provide parameter 'queue_name'",
        }

    def test_queue_name_with_spaces_around_it(self, grader):
        """C63: it is the same queue, on every database."""
        queue.enqueue(new_submission())
        assert grader.ask("get_queuelen", queue_name="python ")["content"] == 1

    def test_an_unknown_queue(self):
        """C65: the answer lists the queues that were granted, and no others."""
        make_grader("secret-queue", name="other")
        grader = make_grader("python", "java", name="both")
        assert grader.ask("get_queuelen", queue_name="rust") == {
            "return_code": 1,
            "content": "Valid queue names are: java, python",
        }


class TestSubmission:
    def test_it_works(self, grader):
        """C67, C68, C69, C70: three texts, as every known grader unpacks them."""
        payload = json.dumps({"grader": "x/y.py", "lang": "fr", "hide_output": True})
        body = json.dumps({"grader_payload": payload, "student_response": "print(1)"})
        queue.enqueue(new_submission(body=body))
        answer = grader.ask("get_submission", queue_name="python")
        assert answer["return_code"] == 0
        content = json.loads(answer["content"])
        assert set(content) == {"xqueue_header", "xqueue_body", "xqueue_files"}
        assert all(isinstance(text, str) for text in content.values())
        header = json.loads(content["xqueue_header"])
        assert set(header) == {"submission_id", "submission_key"}
        assert type(header["submission_id"]) is int
        assert header["submission_key"]
        assert content["xqueue_body"] == body
        assert content["xqueue_files"] == "{}"

    def test_the_lms_header_stays_here(self, grader):
        """C31: nothing of the LMS's header reaches a grader."""
        queue.enqueue(new_submission(queue_key="the learner's key", user_id=987654))
        answer = json.dumps(grader.ask("get_submission", queue_name="python"))
        assert "the learner's key" not in answer
        assert "987654" not in answer
        assert "lms_callback_url" not in answer

    def test_empty_unknown_and_not_granted(self, grader):
        """C66: an empty queue is empty; one that was not granted is not found."""
        queue.enqueue(new_submission("java"))
        assert grader.ask("get_submission", queue_name="python") == {
            "return_code": 1,
            "content": "Queue 'python' is empty",
        }
        for queue_name in ("java", "never-existed"):
            assert grader.ask("get_submission", queue_name=queue_name) == {
                "return_code": 1,
                "content": f"Queue '{queue_name}' not found",
            }

    @pytest.mark.parametrize("path", ["get_submission", "get_queuelen", "login", "status"])
    def test_with_and_without_the_last_slash(self, grader, path):
        """C100: both forms of an address are answered."""
        for form in (f"/xqueue/{path}", f"/xqueue/{path}/"):
            assert grader.http.get(form, {"queue_name": "python"}).status_code == 200

    @pytest.mark.parametrize("path", ["put_result", "login", "logout"])
    def test_a_post_is_never_redirected(self, grader, path):
        """C50, C81, C100: a POST is answered where it arrives, without a CSRF token."""
        for form in (f"/xqueue/{path}", f"/xqueue/{path}/"):
            grader.login()
            assert grader.http.post(form).status_code == 200

    def test_put_result_by_get(self, grader):
        """C82: the response to a wrong method is the protocol's text."""
        assert grader.ask("put_result") == {
            "return_code": 1,
            "content": "'put_result' must use HTTP POST",
        }

    @pytest.mark.parametrize("method", ["head", "options", "put", "patch", "delete"])
    def test_only_get_pulls(self, grader, method):
        """C72: no other method leases a submission."""
        queue.enqueue(new_submission())
        response = getattr(grader.http, method)("/xqueue/get_submission/?queue_name=python")
        assert response.status_code == 200
        assert grader.pull() is not None

    @pytest.mark.parametrize("accept", ["text/html", "application/xml", "", "*/*"])
    def test_whatever_a_client_accepts(self, grader, accept):
        """C54: there is one form of answer."""
        response = grader.http.get(
            "/xqueue/get_queuelen/?queue_name=python", headers={"accept": accept}
        )
        assert response.json() == {"return_code": 0, "content": 0}

    @hypothesis_settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
    )
    @given(queue_name=st.text(min_size=1))
    def test_any_queue_name_is_answered(self, queue_name):
        """C66: no queue name causes a server error."""
        everything = make_grader("*", name=f"star {len(queue_name)} {hash(queue_name)}")
        try:
            queue_name.encode()
        except UnicodeEncodeError:
            return
        for endpoint in ("get_queuelen", "get_submission"):
            assert everything.ask(endpoint, queue_name=queue_name)["return_code"] in (0, 1)


class TestFiles:
    @pytest.fixture
    def files(self, grader):
        uploads = (
            UploadedFile("main.py", io.BytesIO(b"print(1)"), 8),
            UploadedFile("main.py", io.BytesIO(b"print(2)"), 8),
            UploadedFile("ünï/.. code?.py", io.BytesIO(b"print(3)"), 8),
        )
        queue.enqueue(new_submission(files=uploads))
        return grader.pull().files

    def test_plain_gets_bring_the_content(self, files):
        """C16, C18, C98: each file is one plain GET away, under a name of its own."""
        assert len(files) == 3
        for url, content in zip(
            files.values(), [b"print(1)", b"print(2)", b"print(3)"], strict=True
        ):
            assert url.startswith("http://testserver/xqueue/files/")
            response = Client().get(url)
            assert response.getvalue() == content
            assert response["Content-Type"] == "application/octet-stream"
            assert response["Content-Disposition"].startswith("attachment")

    def test_names_end_as_they_were_uploaded(self, files):
        assert all(url.endswith(".py") for url in files.values())

    def test_the_public_address_can_be_set(self, grader, settings):
        """C98: links lead to where graders reach us."""
        settings.XQUEUE_BRIDGE = {"PUBLIC_URL": "https://queue.example.com/"}
        queue.enqueue(new_submission(files=(UploadedFile("a.py", io.BytesIO(b"x"), 1),)))
        assert grader.pull().files["a.py"].startswith("https://queue.example.com/xqueue/files/")

    def test_links_expire(self, files, settings):
        """C98: a link is good for a while."""
        settings.XQUEUE_BRIDGE = {"FILE_URL_SECONDS": -1}
        assert {Client().get(url).status_code for url in files.values()} == {404}

    def test_a_changed_link_is_none(self, files):
        url = next(iter(files.values()))
        token = url.split("/files/")[1].split("/")[0]
        for other in (token[:-1], token[1:], "x", "é", "a:b:c"):
            assert Client().get(f"/xqueue/files/{other}/main.py").status_code == 404

    @pytest.mark.parametrize("left", [[], [["", "2026/11/20/another", 8]]])
    def test_a_retired_learners_link(self, files, left):
        """C98, C125: a link that outlives the file leads nowhere, and to no other file."""
        SubmissionContent.objects.update(files=left)
        assert {Client().get(url).status_code for url in files.values()} == {404}

    def test_a_storage_that_is_down(self, files, monkeypatch, caplog):
        """C129: the address, which is a key to the file, is not in the log."""

        def down(stored):
            raise ConnectionError

        monkeypatch.setattr("xqueue_bridge.submission_queue.files.open_file", down)
        for url in files.values():
            assert Client().get(url).status_code == 503
        assert "/files/" not in caplog.text
        assert "ConnectionError" in caplog.text

    def test_each_pull_has_links_of_its_own(self, grader, files):
        """C98: each delivery has new file URLs."""
        Submission.objects.update(available_at=timezone.now())
        assert set(grader.pull().files.values()).isdisjoint(files.values())


class TestHostsThatReadForms:
    """The middleware of some hosts, the LMS's tracking for one, reads each form that is posted."""

    @pytest.fixture(autouse=True)
    def _read_forms(self, settings):
        settings.MIDDLEWARE = [f"{__name__}.read_forms", *settings.MIDDLEWARE]

    @pytest.mark.parametrize("content_type", [MULTIPART_CONTENT, "application/json", FORM])
    def test_a_cycle(self, grader, content_type):
        """C43, C79: logging in, pulling and posting work there, in every form."""
        queue.enqueue(new_submission())

        def post(endpoint, **fields):
            body = urlencode(fields) if content_type == FORM else fields
            return grader.http.post(f"/xqueue/{endpoint}/", body, content_type).json()

        login = post("login", username=grader.name, password=grader.secret)
        assert login == {"return_code": 0, "content": "Logged in"}
        answer = post("put_result", xqueue_header=grader.pull().header, xqueue_body=GOOD_REPLY)
        assert answer == {"return_code": 0, "content": ""}


def read_forms(get_response):
    def middleware(request):
        dict(request.POST)
        return get_response(request)

    return middleware


@pytest.mark.django_db(transaction=True)
class TestStatements:
    """What a request costs in all, authentication, BEGIN and COMMIT included."""

    @pytest.fixture
    def warm(self):
        grader = make_grader()
        grader.ask("get_queuelen", queue_name="python")
        return grader

    def test_an_empty_poll(self, warm, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert warm.pull() is None

    def test_a_pull(self, warm, django_assert_num_queries):
        queue.enqueue(new_submission(usage_key=PROBLEM))
        with django_assert_num_queries(3):
            assert warm.pull()


def remember_email(get_response):
    """Do what an LMS's middleware does: keep the address of a user who is logged in."""

    def middleware(request):
        response = get_response(request)
        if request.user.is_authenticated and "email" not in request.session:
            request.session["email"] = request.user.email
        return response

    return middleware


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_host_middleware_sees_no_user(settings, endpoint):
    """A grader is no account of the host: its middleware finds an anonymous user, no session."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.remember_email"]
    grader = make_grader()
    method = grader.http.post if endpoint == "put_result" else grader.http.get
    response = method(f"/xqueue/{endpoint}/", {"queue_name": "python"})
    assert response.status_code == 200
    assert not response.wsgi_request.user.is_authenticated
    assert settings.SESSION_COOKIE_NAME not in response.cookies
