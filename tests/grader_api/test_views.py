"""The endpoints of the XQueue protocol, used by Django's test client."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.client import MULTIPART_CONTENT
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.property_examples import few
from tests.submission_queue.factories import (
    GOOD_REPLY,
    PROBLEM,
    DisconnectedBody,
    GraderClient,
    make_grader,
    new_submission,
    upload,
)
from xqueue_bridge.data import UploadedFile
from xqueue_bridge.submission_queue import api, queue
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
ENDPOINTS = ["get_queuelen", "get_submission", "put_result"]


class TestLogin:
    def test_get_sets_a_csrf_cookie(self, client):
        """C55: the response to GET login has status 200 and a csrftoken cookie."""
        response = client.get("/xqueue/login/")
        assert response.status_code == 200
        assert response.cookies["csrftoken"].value

    def test_get_says_login_required(self, client):
        """C42, C56: GET login is not acknowledged as a login."""
        assert client.get("/xqueue/login/").json() == {
            "return_code": 1,
            "content": "login_required",
        }

    def test_valid_login_sets_the_session_cookie(self):
        """C43: a valid login is acknowledged and sets the session's cookie."""
        grader = GraderClient(api.create_grader("watcher", ["python"]))
        assert grader.login() == {"return_code": 0, "content": "Logged in"}
        assert grader.http.cookies["xqueue_session_key"].value

    def test_wrong_secret_is_refused(self, grader):
        """C43: the response to a failed login is the protocol's text."""
        assert grader.login(password="wrong") == {
            "return_code": 1,
            "content": "Incorrect login credentials",
        }

    @pytest.mark.parametrize("missing", ["username", "password"])
    def test_missing_name_or_secret_is_refused(self, grader, missing):
        """C43, C44: the response says that the login info is insufficient."""
        assert grader.login(**{missing: None}) == {
            "return_code": 1,
            "content": "Insufficient login info",
        }

    def test_login_without_a_csrf_token_and_with_an_expired_session_succeeds(self, grader):
        """C57: login needs no CSRF token, whatever the cookies are."""
        grader.http.cookies["sessionid"] = "stale"
        grader.http.cookies["xqueue_session_key"] = "stale"
        assert grader.login()["return_code"] == 0

    def test_login_with_a_csrf_token_succeeds(self, grader):
        """C57: a CSRF token has no effect."""
        token = grader.http.get("/xqueue/login/").cookies["csrftoken"].value
        form = {"username": grader.name, "password": grader.secret}
        response = grader.http.post("/xqueue/login/", form, headers={"x-csrftoken": token})
        assert response.json()["return_code"] == 0

    def test_basic_auth_header_is_ignored(self, grader):
        """C58: an Authorization header for a proxy has no effect."""
        basic = {"authorization": "Basic eDp5"}
        login = grader.http.get("/xqueue/login/", headers=basic)
        assert login.status_code == 200
        response = grader.http.get("/xqueue/get_queuelen/?queue_name=python", headers=basic)
        assert response.json() == {"return_code": 0, "content": 0}

    def test_four_sessions_of_one_name_are_valid_at_once(self, grader):
        """C59: a login does not end other sessions of the same name."""
        workers = [GraderClient(grader.secret) for _ in range(4)]
        for worker in workers:
            worker.login()
        assert [w.ask("get_queuelen", queue_name="python")["return_code"] for w in workers] == [
            0
        ] * 4

    def test_user_account_cannot_log_in_as_a_grader(self):
        """C60: a user account's name and password open no grader's session."""
        get_user_model().objects.create_superuser("staff", password="their own")
        assert GraderClient("their own", "staff").login()["return_code"] == 1

    def test_session_of_a_grader_is_no_session_of_the_lms(self, grader):
        """C60: the admin redirects a logged-in grader to its login."""
        assert "sessionid" not in grader.http.cookies
        assert grader.http.get("/admin/").status_code == 302

    def test_session_cookie_is_limited_to_the_path_of_the_queue(self, grader):
        """C60: the cookie is sent to the queue's URLs only, and scripts cannot read it."""
        cookie = grader.http.cookies["xqueue_session_key"]
        assert cookie["path"] == "/xqueue/"
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"

    @pytest.mark.parametrize("secure", [True, False])
    def test_session_cookie_of_https_is_sent_over_https_only(self, grader, secure):
        """C60: behind a proxy that tells the scheme, too."""
        form = {"username": grader.name, "password": grader.secret}
        response = grader.http.post("/xqueue/login/", form, secure=secure)
        assert bool(response.cookies["xqueue_session_key"]["secure"]) is secure

    def test_session_cookie_ends_with_the_session(self, grader, settings):
        """C62: the client need not send a cookie that is no longer valid."""
        settings.XQUEUE_BRIDGE = {"SESSION_SECONDS": 500}
        grader.login()
        assert grader.http.cookies["xqueue_session_key"]["max-age"] == 500
        cookie = grader.http.get("/xqueue/logout/").cookies["xqueue_session_key"]
        assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", 0, "/xqueue/")

    def test_failed_logins_over_the_rate_are_refused(self, grader, settings):
        """C61: after too many failed logins a source must wait; a valid secret is accepted."""
        settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "3/min"}
        wrong = [grader.login(password="wrong")["content"] for _ in range(4)]
        assert wrong[:3] == ["Incorrect login credentials"] * 3
        assert wrong[3] == "Too many failed logins. Please try again later."
        assert grader.login() == {"return_code": 0, "content": "Logged in"}

    def test_valid_logins_have_no_rate(self, grader, settings):
        """C61: a client may log in before every pull."""
        settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "3/min"}
        assert {grader.login()["return_code"] for _ in range(10)} == {0}

    def test_failed_logins_from_other_addresses_do_not_lock_out_a_grader(self, grader, settings):
        """C61: failed logins with a grader's name do not refuse the grader."""
        settings.XQUEUE_BRIDGE = {"LOGIN_FAILURE_RATE": "1/min"}
        form = {"username": grader.name, "password": "wrong"}
        for number in range(30):
            grader.http.post("/xqueue/login/", form, REMOTE_ADDR=f"10.0.0.{number}")
        assert grader.login() == {"return_code": 0, "content": "Logged in"}

    def test_failed_logins_are_counted_for_each_client_of_a_trusted_proxy(self, grader, settings):
        """C61: failed logins count for the client, and not for the proxy or other clients."""
        settings.XQUEUE_BRIDGE = {
            "LOGIN_FAILURE_RATE": "1/min",
            "TRUSTED_PROXIES": ["127.0.0.1"],
        }
        form = {"username": grader.name, "password": "wrong"}
        responses = [
            grader.http.post("/xqueue/login/", form, headers={"x-forwarded-for": client}).json()
            for client in ("192.0.2.1", "192.0.2.1", "192.0.2.2")
        ]
        assert [response["content"][:9] for response in responses] == [
            "Incorrect",
            "Too many ",
            "Incorrect",
        ]

    def test_failed_logins_are_logged_and_stored(self, grader, settings, caplog):
        """C129: account and source are logged, up to the rate, and no text of the form."""
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
    def test_spaces_around_a_name_are_ignored(self, grader, name):
        """C43: spaces around the name are ignored on every database."""
        assert grader.login(username=name) == {"return_code": 0, "content": "Logged in"}

    @hypothesis_settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture],
        max_examples=few(40),
        deadline=None,
    )
    @given(
        form=st.dictionaries(
            st.sampled_from(["username", "password", "next"]), st.text(st.characters())
        )
    )
    def test_any_form_gets_an_envelope(self, client, form):
        """C44: no login form causes a server error."""
        response = client.post("/xqueue/login/", json.dumps(form), content_type="application/json")
        assert response.status_code == 200
        assert response.json()["return_code"] == 1

    @pytest.mark.parametrize("field", ["username", "password"])
    def test_half_of_a_surrogate_pair_is_a_failed_login(self, grader, field):
        """C44: JSON can contain half of a surrogate pair; it is no server error."""
        form = {"username": grader.name, "password": grader.secret, field: "\ud800"}
        response = grader.http.post("/xqueue/login/", form, content_type="application/json")
        assert response.json() == {"return_code": 1, "content": "Incorrect login credentials"}

    def test_form_over_djangos_limit_is_refused(self, client, settings):
        """C44: a large request without a session fills neither memory nor disk."""
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
        responses = [
            client.post("/xqueue/login/", {"file": io.BytesIO(b"x" * 2000)}),
            client.post("/xqueue/login/", {"password": "x" * 2000}),
            client.post("/xqueue/login/", {"password": "x" * 2000}, "application/json"),
        ]
        too_large = {"body: is larger than 1,000 bytes"}
        assert {response["X-XQueue-Problem"] for response in responses} == too_large
        assert {response.json()["content"] for response in responses} == {"Insufficient login info"}

    @pytest.mark.parametrize("endpoint", ["login", "put_result"])
    def test_form_with_an_unknown_charset_is_refused(self, grader, endpoint):
        """C44, C84: a form with an unknown charset is not a server error."""
        part = b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\n\xff\r\n--x--'
        response = grader.http.generic(
            "POST", f"/xqueue/{endpoint}/", part, "multipart/form-data; boundary=x; charset=idna"
        )
        assert (response.status_code, response.json()["return_code"]) == (200, 1)
        assert response["X-XQueue-Problem"] == "body: is not what its Content-Type says"

    @pytest.mark.parametrize("endpoint", ["login", "put_result"])
    def test_form_whose_sender_disconnects_is_refused(self, grader, endpoint):
        """C44, C84: a form that is cut off is not a server error."""
        body = {"wsgi.input": DisconnectedBody(b""), "CONTENT_LENGTH": 5}
        response = grader.http.post(f"/xqueue/{endpoint}/", **body)
        assert (response.status_code, response.json()["return_code"]) == (200, 1)

    def test_unreadable_json_is_refused(self, client):
        response = client.post("/xqueue/login/", "{", content_type="application/json")
        assert response.json() == {"return_code": 1, "content": "Insufficient login info"}


class TestSession:
    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    def test_request_without_a_session_redirects_to_login(self, client, endpoint):
        """C45, C62: the response is a redirect to login, for GET and POST."""
        for response in (client.get(f"/xqueue/{endpoint}/"), client.post(f"/xqueue/{endpoint}/")):
            assert response.status_code == 302
            assert response["Location"] == f"/xqueue/login/?next=%2Fxqueue%2F{endpoint}%2F"

    def test_expired_session_redirects_until_the_next_login(self, grader, settings):
        """C62: after a new login the requests succeed."""
        settings.XQUEUE_BRIDGE = {"SESSION_SECONDS": -1}
        assert grader.http.get("/xqueue/get_queuelen/?queue_name=python").status_code == 302
        settings.XQUEUE_BRIDGE = {}
        grader.login()
        assert grader.ask("get_queuelen", queue_name="python")["return_code"] == 0

    def test_logout_ends_this_session_only(self, grader):
        """C53, C102: logout, by GET or POST, ends the session of its request and no other."""
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

    def test_status_needs_no_session(self, client):
        """C53: the status needs no login."""
        assert client.get("/xqueue/status/").json() == {"return_code": 0, "content": "OK"}


class TestQueueLength:
    def test_queue_length_does_not_count_leased_submissions(self, grader):
        """C63: the length is an int."""
        for number in range(3):
            queue.enqueue(new_submission(queue_key=str(number)))
        grader.pull()
        assert grader.ask("get_queuelen", queue_name="python") == {
            "return_code": 0,
            "content": 2,
        }

    @pytest.mark.parametrize("endpoint", ["get_queuelen", "get_submission"])
    def test_request_without_a_queue_name_is_refused(self, grader, endpoint):
        """C64: the response names the parameter."""
        assert grader.ask(endpoint) == {
            "return_code": 1,
            "content": f"'{endpoint}' must provide parameter 'queue_name'",
        }

    def test_spaces_around_a_queue_name_are_ignored(self, grader):
        """C63: spaces around the queue name are ignored on every database."""
        queue.enqueue(new_submission())
        assert grader.ask("get_queuelen", queue_name="python ")["content"] == 1

    def test_queue_name_with_spaces_is_that_of_the_setting(self, grader, settings):
        """C63, C65: also if only the queues of the setting are known."""
        settings.XQUEUE_BRIDGE = {"REJECT_UNKNOWN_QUEUES": True, "QUEUES": {"python": {}}}
        answer = grader.ask("get_submission", queue_name=" python ")
        assert answer["content"] == "Queue 'python' is empty"
        missing = grader.ask("get_submission", queue_name=" ")["content"]
        assert missing == "'get_submission' must provide parameter 'queue_name'"

    def test_unknown_queue_gets_the_names_of_the_granted_ones(self):
        """C65: the response lists the queues that were granted, and no others."""
        make_grader("secret-queue", name="other")
        grader = make_grader("python", "java", name="both")
        assert grader.ask("get_queuelen", queue_name="rust") == {
            "return_code": 1,
            "content": "Valid queue names are: java, python",
        }


class TestSubmission:
    def test_pulled_submission_is_three_texts(self, grader):
        """C67, C68, C69, C70: header, body and files are texts, as each known grader reads them."""
        payload = json.dumps({"grader": "x/y.py", "lang": "fr", "hide_output": True})
        body = json.dumps({"grader_payload": payload, "student_response": "print(1)"})
        queue.enqueue(new_submission(body=body))
        response = grader.ask("get_submission", queue_name="python")
        assert response["return_code"] == 0
        content = json.loads(response["content"])
        assert set(content) == {"xqueue_header", "xqueue_body", "xqueue_files"}
        assert all(isinstance(text, str) for text in content.values())
        header = json.loads(content["xqueue_header"])
        assert set(header) == {"submission_id", "submission_key"}
        assert type(header["submission_id"]) is int
        assert header["submission_key"]
        assert content["xqueue_body"] == body
        assert content["xqueue_files"] == "{}"

    @pytest.mark.parametrize(
        ("points", "scale", "header"),
        [
            ({"a": 10}, "points", "10"),
            ({"a": 2.5}, "points", "2.5"),
            ({"a": 0}, "points", "0"),
            ({"a": 3, "b": 3}, "points", "3"),
            ({"a": 3, "b": 4}, "points", None),
            ({}, "points", None),
            ({"a": "ten"}, "points", None),
            ({"a": 10**400}, "points", None),
            ({"a": 10}, "fraction", "1"),
            ({"a": 3, "b": 4}, "fraction", "1"),
        ],
    )
    def test_highest_score_that_counts_is_in_a_header(
        self, grader, settings, points, scale, header
    ):
        """C95: what the score is clamped to later is sent with the submission, if it is known."""
        settings.XQUEUE_BRIDGE = {"QUEUES": {"python": {"SCORE_SCALE": scale}}}
        queue.enqueue(replace(new_submission(), points=points))
        response = grader.http.get("/xqueue/get_submission/", {"queue_name": "python"})
        assert response.json()["return_code"] == 0
        assert response.headers.get("X-XQueue-Max-Score") == header
        empty = grader.http.get("/xqueue/get_submission/", {"queue_name": "python"})
        assert "X-XQueue-Max-Score" not in empty.headers

    def test_header_of_the_lms_is_not_delivered(self, grader):
        """C31: no part of the LMS's header is sent to a grader."""
        queue.enqueue(new_submission(queue_key="the learner's key", user_id=987654))
        response = json.dumps(grader.ask("get_submission", queue_name="python"))
        assert "the learner's key" not in response
        assert "987654" not in response
        assert "lms_callback_url" not in response

    def test_empty_queue_is_empty_and_queue_without_a_grant_is_not_found(self, grader):
        """C66: an unknown queue is not found either."""
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
    def test_url_with_and_without_the_last_slash_is_found(self, grader, path):
        """C100: both forms of a URL have status 200."""
        for form in (f"/xqueue/{path}", f"/xqueue/{path}/"):
            assert grader.http.get(form, {"queue_name": "python"}).status_code == 200

    @pytest.mark.parametrize("path", ["put_result", "login", "logout"])
    def test_post_without_the_last_slash_is_not_redirected(self, grader, path):
        """C50, C81, C100: a POST is processed under both forms of a URL, without a CSRF token."""
        for form in (f"/xqueue/{path}", f"/xqueue/{path}/"):
            grader.login()
            assert grader.http.post(form).status_code == 200

    def test_put_result_by_get_is_refused(self, grader):
        """C82: the response to a wrong method is the protocol's text."""
        assert grader.ask("put_result") == {
            "return_code": 1,
            "content": "'put_result' must use HTTP POST",
        }

    @pytest.mark.parametrize("method", ["head", "options", "put", "patch", "delete"])
    def test_method_other_than_get_leases_no_submission(self, grader, method):
        """C72: a submission is leased by GET only."""
        queue.enqueue(new_submission())
        response = getattr(grader.http, method)("/xqueue/get_submission/?queue_name=python")
        assert response.status_code == 200
        assert grader.pull() is not None

    @pytest.mark.parametrize("accept", ["text/html", "application/xml", "", "*/*"])
    def test_any_accept_header_gets_json(self, grader, accept):
        """C54: the form of the response does not depend on the header Accept."""
        response = grader.http.get(
            "/xqueue/get_queuelen/?queue_name=python", headers={"accept": accept}
        )
        assert response.json() == {"return_code": 0, "content": 0}

    @hypothesis_settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture],
        max_examples=few(40),
        deadline=None,
    )
    @given(queue_name=st.text(min_size=1))
    def test_any_queue_name_gets_an_envelope(self, queue_name):
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

    def test_get_of_a_file_url_returns_the_content(self, files):
        """C16, C18, C98: each file has its own name and is returned by a GET without a session."""
        assert len(files) == 3
        for url, content in zip(
            files.values(), [b"print(1)", b"print(2)", b"print(3)"], strict=True
        ):
            assert url.startswith("http://testserver/xqueue/files/")
            response = Client().get(url)
            assert response.getvalue() == content
            assert response["Content-Type"] == "application/octet-stream"
            assert response["Content-Disposition"].startswith("attachment")

    def test_file_urls_keep_the_extension(self, files):
        assert all(url.endswith(".py") for url in files.values())

    def test_file_urls_begin_with_public_url(self, grader, settings):
        """C98: PUBLIC_URL is the address under which graders reach this site."""
        settings.XQUEUE_BRIDGE = {"PUBLIC_URL": "https://queue.example.com/"}
        queue.enqueue(new_submission(files=(UploadedFile("a.py", io.BytesIO(b"x"), 1),)))
        assert grader.pull().files["a.py"].startswith("https://queue.example.com/xqueue/files/")

    @pytest.mark.parametrize("base", ["", "https://queue.example.com/"])
    def test_login_says_with_what_file_urls_begin(self, grader, settings, base):
        """C98: a grader's author can check the links without a submission."""
        settings.XQUEUE_BRIDGE = {"PUBLIC_URL": base}
        login = {"username": grader.name, "password": grader.secret}
        response = grader.http.post("/xqueue/login/", login)
        queue.enqueue(new_submission(files=(upload("a.py"),)))
        assert grader.pull().files["a.py"].startswith(response["X-XQueue-Files"])
        wrong = grader.http.post("/xqueue/login/", {**login, "password": "wrong"})
        assert "X-XQueue-Files" not in wrong.headers

    def test_expired_file_url_is_not_found(self, files, settings):
        """C98: a file URL is valid for FILE_URL_SECONDS."""
        settings.XQUEUE_BRIDGE = {"FILE_URL_SECONDS": -1}
        assert {Client().get(url).status_code for url in files.values()} == {404}

    def test_changed_file_url_is_not_found(self, files):
        url = next(iter(files.values()))
        token = url.split("/files/")[1].split("/")[0]
        for other in (token[:-1], token[1:], "x", "é", "a:b:c"):
            assert Client().get(f"/xqueue/files/{other}/main.py").status_code == 404

    @pytest.mark.parametrize("left", [[], [["", "2026/11/20/another", 8]]])
    def test_file_url_of_a_retired_learner_is_not_found(self, files, left):
        """C98, C125: the URL of a deleted file returns neither it nor another file."""
        SubmissionContent.objects.update(files=left)
        assert {Client().get(url).status_code for url in files.values()} == {404}

    def test_storage_that_is_down_is_logged_without_the_url(self, files, monkeypatch, caplog):
        """C129: the URL, which gives access to the file, is not in the log."""

        def down(stored):
            raise ConnectionError

        monkeypatch.setattr("xqueue_bridge.submission_queue.files.open_file", down)
        for url in files.values():
            assert Client().get(url).status_code == 503
        assert "/files/" not in caplog.text
        assert "ConnectionError" in caplog.text

    def test_each_delivery_has_other_file_urls(self, grader, files):
        """C98: the file URLs of each delivery are new."""
        Submission.objects.update(available_at=timezone.now())
        assert set(grader.pull().files.values()).isdisjoint(files.values())


class TestMiddlewareThatReadsForms:
    """The middleware of some hosts, such as the LMS's tracking, reads each form that is posted."""

    @pytest.fixture(autouse=True)
    def _read_forms(self, settings):
        settings.MIDDLEWARE = [f"{__name__}.read_forms", *settings.MIDDLEWARE]

    @pytest.mark.parametrize("content_type", [MULTIPART_CONTENT, "application/json", FORM])
    def test_login_pull_and_put_result_succeed(self, grader, content_type):
        """C43, C79: login and put_result succeed with each content type."""
        queue.enqueue(new_submission())

        def post(endpoint, **fields):
            body = urlencode(fields) if content_type == FORM else fields
            return grader.http.post(f"/xqueue/{endpoint}/", body, content_type).json()

        login = post("login", username=grader.name, password=grader.secret)
        assert login == {"return_code": 0, "content": "Logged in"}
        response = post("put_result", xqueue_header=grader.pull().header, xqueue_body=GOOD_REPLY)
        assert response == {"return_code": 0, "content": ""}


def read_forms(get_response):
    def middleware(request):
        dict(request.POST)
        return get_response(request)

    return middleware


@pytest.mark.django_db(transaction=True)
class TestStatements:
    """Number of statements of a whole request, with authentication, BEGIN and COMMIT."""

    @pytest.fixture
    def warm(self):
        grader = make_grader()
        grader.ask("get_queuelen", queue_name="python")
        return grader

    def test_pull_of_an_empty_queue_takes_one_statement(self, warm, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert warm.pull() is None

    def test_pull_takes_three_statements_or_one(self, warm, django_assert_num_queries):
        queue.enqueue(new_submission(usage_key=PROBLEM))
        with django_assert_num_queries(1 if connection.vendor == "postgresql" else 3):
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
def test_host_middleware_gets_an_anonymous_user(settings, endpoint):
    """A grader is no user account of the host, and has no session there."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.remember_email"]
    grader = make_grader()
    method = grader.http.post if endpoint == "put_result" else grader.http.get
    response = method(f"/xqueue/{endpoint}/", {"queue_name": "python"})
    assert response.status_code == 200
    assert not response.wsgi_request.user.is_authenticated
    assert settings.SESSION_COOKIE_NAME not in response.cookies
