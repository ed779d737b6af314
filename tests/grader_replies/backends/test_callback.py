"""The backend "callback": replies are posted to an LMS over HTTP."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
import requests
import responses
from django.db import connection

from tests.grader_replies.factories import CALLBACK_URL, make_reply_to_apply
from xqueue_bridge.data import ApplyResult, Dispatch, GraderReply
from xqueue_bridge.exceptions import PermanentApplyError, TransientApplyError
from xqueue_bridge.grader_replies.backends import callback
from xqueue_bridge.grader_replies.backends.callback import CallbackBackend

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _allowed(settings):
    settings.XQUEUE_BRIDGE = {"CALLBACK_PREFIXES": ["https://lms.example.com/courses"]}
    yield
    callback._breakers.clear()


@pytest.fixture
def lms():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def apply(to_apply=None):
    marked: list[ApplyResult] = []
    result = CallbackBackend().apply(to_apply or make_reply_to_apply(), marked.append)
    assert marked == [result]
    return result


def posted(lms):
    (call,) = lms.calls
    return {name: values[0] for name, values in parse_qs(call.request.body).items()}


def with_url(url):
    return make_reply_to_apply(header=json.dumps({"lms_callback_url": url, "lms_key": "key-1"}))


def test_header_and_reply_are_posted(lms):
    """C103: the header is posted unchanged, the reply sanitised."""
    lms.post(CALLBACK_URL, status=200)
    header = '{"lms_key":"key-1",  "queue_name": "é", "lms_callback_url": "%s"}' % CALLBACK_URL
    to_apply = make_reply_to_apply(header=header, reply=GraderReply(False, 0.5, "<p>half</p>"))
    assert apply(to_apply).applied
    form = posted(lms)
    assert form["xqueue_header"] == header
    assert json.loads(form["xqueue_body"]) == {
        "correct": False,
        "score": 0.5,
        "msg": "<p>half</p>",
    }
    assert set(form) == {"xqueue_header", "xqueue_body"}


@pytest.mark.parametrize("status", [200])
def test_200_is_an_acknowledgement(lms, status):
    """C104: after a response 200 the reply is applied."""
    lms.post(CALLBACK_URL, status=status, body="anything")
    assert apply().applied


@pytest.mark.parametrize("status", [201, 202, 204, 400, 401, 403, 408, 429, 500, 502, 503, 504])
def test_other_status_is_transient(lms, status):
    """C104, C106: after every other response the reply is retried."""
    lms.post(CALLBACK_URL, status=status)
    with pytest.raises(TransientApplyError, match=str(status)):
        apply()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_a_transient_error_and_not_followed(lms, status):
    """C105: a redirect of the POST is a transient error."""
    elsewhere = "https://lms.example.com/courses/elsewhere/score_update"
    lms.post(CALLBACK_URL, status=status, headers={"Location": elsewhere})
    with pytest.raises(TransientApplyError):
        apply()
    assert len(lms.calls) == 1


@pytest.mark.parametrize("status", [404, 410])
def test_404_and_410_are_permanent(lms, status):
    """C107: the LMS has no such learner or block."""
    lms.post(CALLBACK_URL, status=status)
    with pytest.raises(PermanentApplyError, match=str(status)):
        apply()


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError,
        requests.ConnectTimeout,
        requests.ReadTimeout,
        requests.exceptions.SSLError,
        requests.TooManyRedirects,
        requests.exceptions.ChunkedEncodingError,
    ],
)
def test_connection_error_is_transient(lms, error):
    """C106: the reply is retried; the message contains no URL."""
    lms.post(CALLBACK_URL, body=error(f"at {CALLBACK_URL}"))
    with pytest.raises(TransientApplyError) as raised:
        apply()
    assert error.__name__ in str(raised.value)
    assert "lms.example.com" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
    ],
)
def test_invalid_url_is_permanent(lms, error):
    """C107: a retry cannot help; the message contains no URL."""
    lms.post(CALLBACK_URL, body=error(f"at {CALLBACK_URL}"))
    with pytest.raises(PermanentApplyError, match=r"^The callback URL is not one\.$") as raised:
        apply()
    assert raised.value.__suppress_context__


def test_certificates_are_verified_and_time_is_limited(monkeypatch):
    """C108: TLS is verified, and each wait has a limit."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)  # The machine may set another bundle.
    seen = {}

    def send(self, prepared, **how):
        seen.update(how)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "send", send)
    with pytest.raises(TransientApplyError):
        apply()
    assert seen["verify"] is True
    assert seen["timeout"] == (3.05, 10)
    assert seen["allow_redirects"] is False
    assert seen["stream"] is True


@pytest.mark.parametrize(
    "url",
    [
        "http://lms.example.com/courses/x/score_update",
        "https://lms.example.com.evil.example/courses/x/score_update",
        "https://lms.example.com:8443/courses/x/score_update",
        "https://user@lms.example.com/courses/x/score_update",
        "https://lms.example.com/coursesx/score_update",
        "https://lms.example.com/admin/score_update",
        "https://lms.example.com/courses/../admin/score_update",
        "https://lms.example.com/courses/%2e%2e/admin/score_update",
        "https://lms.example.com/courses/..%2Fadmin/score_update",
        "https://lms.example.com/courses//x/score_update",
        "https://lms.example.com\\@evil.example/courses/x/score_update",
        "https://lms.example.com/courses/x\\y/score_update",
        "https://evil.example/courses/x/score_update",
        "//lms.example.com/courses/x/score_update",
        "/courses/x/score_update",
        "file:///etc/passwd",
        "https://[broken/courses/x/score_update",
        "",
    ],
)
def test_url_that_is_not_below_a_prefix_is_a_permanent_error(lms, url):
    """C108: scheme, host, port and path must be below a listed prefix."""
    with pytest.raises(PermanentApplyError, match=r"CALLBACK_PREFIXES|no callback URL"):
        apply(with_url(url))
    assert not lms.calls


def test_prefix_that_is_a_whole_host_is_accepted(lms, settings):
    """C108: the prefix may end in a slash."""
    lms.post(CALLBACK_URL, status=200)
    for prefix in ("https://lms.example.com", "https://lms.example.com/"):
        settings.XQUEUE_BRIDGE = {"CALLBACK_PREFIXES": [prefix]}
        assert apply().applied


def test_prefix_without_a_host_allows_no_url(lms, settings):
    """C108: a prefix without a host matches no URL."""
    settings.XQUEUE_BRIDGE = {"CALLBACK_PREFIXES": ["/courses/"]}
    with pytest.raises(PermanentApplyError, match="CALLBACK_PREFIXES"):
        apply(with_url("/courses/x/score_update"))


def test_no_url_is_allowed_without_callback_prefixes(lms, settings):
    """C108: without CALLBACK_PREFIXES no URL is allowed."""
    settings.XQUEUE_BRIDGE = {}
    with pytest.raises(PermanentApplyError):
        apply()
    assert not lms.calls


@pytest.mark.parametrize(
    "header",
    ["", "x", "null", "[]", "{}", '{"lms_callback_url": null}', '{"lms_callback_url": 3}']
    + ["[" * 8000],
)
def test_header_without_a_url_is_a_permanent_error(lms, header):
    with pytest.raises(PermanentApplyError):
        apply(make_reply_to_apply(header=header))
    assert not lms.calls


@pytest.mark.parametrize("dispatch", ["problem_reset", "", "score_update/", "ungraded_response"])
def test_url_with_another_dispatch_is_permanent(lms, dispatch):
    """C110: the URL's last segment must be the submission's dispatch."""
    with pytest.raises(PermanentApplyError, match="dispatch"):
        apply(with_url(f"https://lms.example.com/courses/x/{dispatch}"))
    assert not lms.calls


def test_reply_to_a_trial_run_is_posted(lms):
    """C110, C117: the dispatch ungraded_response is posted to its own URL."""
    url = CALLBACK_URL.replace("score_update", "ungraded_response")
    lms.post(url, status=200)
    header = json.dumps({"lms_callback_url": url})
    to_apply = make_reply_to_apply(dispatch=Dispatch.UNGRADED_RESPONSE, header=header)
    assert apply(to_apply).applied


@pytest.mark.parametrize(
    ("score", "points", "is_fraction", "sent"),
    [
        (5, {"a": 1}, False, 1),
        (5, {"a": 1, "b": 10}, False, 5),
        (50, {"a": 1, "b": 10}, False, 10),
        (5, {}, False, 5),
        (-5, {}, False, 0),
        (0.5, {"a": 10}, True, 5),
        (0.5, {"a": 10, "b": 10}, True, 5),
    ],
)
def test_score_is_clamped_and_scaled(lms, score, points, is_fraction, sent):
    """C94, C95, C96: a score is clamped to the answer's points, and a fraction is scaled."""
    lms.post(CALLBACK_URL, status=200)
    apply(
        make_reply_to_apply(
            reply=GraderReply(True, score, "x"), points=points, score_is_fraction=is_fraction
        )
    )
    assert json.loads(posted(lms)["xqueue_body"])["score"] == sent


@pytest.mark.parametrize(
    ("points", "correct"),
    [({"a": 10}, True), ({"a": 10, "b": 10}, True), ({"a": 1, "b": 10}, False), ({}, False)],
)
def test_answer_with_all_of_its_points_is_marked_correct(lms, points, correct):
    """The largest of several maxima does not say that this answer has all of its points."""
    lms.post(CALLBACK_URL, status=200)
    apply(make_reply_to_apply(reply=GraderReply(False, 10, "x"), points=points))
    assert json.loads(posted(lms)["xqueue_body"])["correct"] is correct


@pytest.mark.parametrize("points", [{}, {"a": 1, "b": 10}])
def test_fraction_of_unknown_points_is_permanent(lms, points):
    """C95: without the answer's points a fraction cannot be scaled."""
    with pytest.raises(PermanentApplyError, match="SCORE_SCALE"):
        apply(make_reply_to_apply(points=points, score_is_fraction=True))
    assert not lms.calls


def test_attempt_sends_one_request(lms):
    """C106: the backend does not repeat a request; the caller schedules the retry."""
    lms.post(CALLBACK_URL, status=503)
    with pytest.raises(TransientApplyError):
        apply()
    assert len(lms.calls) == 1


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_during_the_request(lms):
    """C109: the LMS may take seconds to respond."""
    seen = []

    def respond(request):
        seen.append(connection.in_atomic_block)
        return 200, {}, ""

    lms.add_callback("POST", CALLBACK_URL, respond)
    apply()
    assert seen == [False]


def test_reply_before_the_save_of_the_state_is_not_posted(lms):
    """C20, C111: the LMS would acknowledge an early reply and not apply it."""
    with pytest.raises(TransientApplyError, match="not be saved yet"):
        apply(make_reply_to_apply(age=timedelta(seconds=1)))
    assert not lms.calls
    lms.post(CALLBACK_URL, status=200)
    assert apply(make_reply_to_apply(age=callback.HOLD)).applied


def test_lms_that_does_not_respond_gets_one_request_a_minute(lms, settings, monkeypatch):
    """C106: its other replies are tried later without a request; another LMS gets its own."""
    other = CALLBACK_URL.replace("lms.example.com", "other.example.com")
    settings.XQUEUE_BRIDGE = {
        "CALLBACK_PREFIXES": [f"https://{host}.example.com/courses" for host in ("lms", "other")]
    }
    lms.post(CALLBACK_URL, body=requests.ReadTimeout())
    lms.post(other, status=200)
    for reason in ("No answer: ReadTimeout", "did not respond in time to another"):
        with pytest.raises(TransientApplyError, match=reason):
            apply()
        assert apply(with_url(other)).applied
    assert [call.request.url for call in lms.calls].count(CALLBACK_URL) == 1
    lms.replace("POST", CALLBACK_URL, status=200)
    minute_later = time.monotonic() + callback.PAUSE_SECONDS
    monkeypatch.setattr("xqueue_bridge.worker.circuit_breaker.time.monotonic", lambda: minute_later)
    assert apply().applied


def test_lms_that_refuses_connections_is_tried_each_time(lms):
    """C106: that takes no time, and the LMS may run again the next moment."""
    lms.post(CALLBACK_URL, body=requests.ConnectionError())
    for _ in range(2):
        with pytest.raises(TransientApplyError, match="No answer"):
            apply()
    assert len(lms.calls) == 2
