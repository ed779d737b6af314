"""Transport one, against a server that keeps the real contract over real HTTP."""

import json
import logging
import re
import socket
import threading
from io import BytesIO
from urllib.parse import parse_qsl

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st
from requests.auth import HTTPBasicAuth

from tests.doubles.xqueue_server import Response, XQueueServer, envelope
from xqueue_bridge.data import UploadedFile, XHeader
from xqueue_bridge.exceptions import SendError
from xqueue_bridge.protocol.headers import SITES_HEADER, make_xheader, parse_xheader
from xqueue_bridge.xqueue_service.transports import legacy_xqueue
from xqueue_bridge.xqueue_service.transports.legacy_xqueue import LegacyXQueue

KEY = "0123456789abcdef"
HEADER = make_xheader("http://lms.example.com/courses/anywhere", KEY, "demo")
PARSED = parse_xheader(HEADER)
BODY = '{ "student_response": "print(\\"ü\\")",\r\n\t"grader_payload":null, "more": "é&=%+" }'
LOGGED_IN = ["POST submit", "GET login", "POST login", "POST submit"]
ODD = "unexpected reply from server"


def upload(name: str, content: bytes) -> UploadedFile:
    return UploadedFile(name, BytesIO(content), len(content))


def send(*files: UploadedFile) -> tuple[int, str]:
    return LegacyXQueue().send(PARSED, BODY, files)


def test_it_works(server: XQueueServer) -> None:
    """C39: the queue length comes back."""
    assert send() == (0, "1")
    assert send() == (0, "2")


def test_form(server: XQueueServer) -> None:
    """C32, C41: a form of two fields, neither of them altered."""
    send()
    [item] = server.items
    assert item.form == {"xqueue_header": HEADER, "xqueue_body": BODY}
    assert item.content_type == "application/x-www-form-urlencoded"


def test_multipart_with_a_part_for_every_file(server: XQueueServer) -> None:
    """C18, C32: each file is a part under its own name, equal names included."""
    pieces = [("a.py", b"print(1)\r\n"), ("a.py", b"\x00\xff"), ("größe (2).py", b"")]
    assert send(*[upload(name, content) for name, content in pieces]) == (0, "1")
    [item] = server.items
    assert item.content_type.startswith("multipart/form-data")
    assert item.form == {"xqueue_header": HEADER, "xqueue_body": BODY}
    assert item.files == [(name, name, content) for name, content in pieces]


def test_login_once_and_send_again(server: XQueueServer) -> None:
    """C34: the server asks for a login; then all of it is sent again, files from their start."""
    assert send(upload("a.py", b"print(1)")) == (0, "1")
    assert server.calls == LOGGED_IN
    assert server.requests[2].form == server.auth
    assert server.items[0].files == [("a.py", "a.py", b"print(1)")]


@pytest.mark.parametrize(
    ("account", "text"),
    [
        ({"username": "lms", "password": "wrong"}, "Incorrect login credentials"),
        ({"username": "lms"}, "Insufficient login info"),
        ({}, "Insufficient login info"),
    ],
)
def test_failed_login(server: XQueueServer, settings, account, text: str) -> None:
    """C35: the login's own code and text come back."""
    settings.XQUEUE_INTERFACE["django_auth"] = account
    assert send() == (1, text)
    assert server.calls == LOGGED_IN[:3]
    assert not server.items


def test_accepted_submission_is_not_sent_again(server: XQueueServer) -> None:
    """C36, C39: the return code decides, whatever text comes with it."""
    server.instead["submit"] = [envelope(0, "login_required")]
    assert send() == (0, "login_required")
    assert server.calls == ["POST submit"]


def test_redirect_of_the_login_page_loses_nothing() -> None:
    """C34: a server may redirect the GET to which it has redirected the POST."""
    with responses.RequestsMock() as double:
        double.post(SUBMIT, status=302, headers={"Location": LOGIN.replace("https:", "http:")})
        double.get(LOGIN.replace("https:", "http:"), status=301, headers={"Location": LOGIN})
        double.get(LOGIN, LOGIN_REQUIRED)
        double.post(LOGIN, '{"return_code": 0, "content": "Logged in"}')
        double.post(SUBMIT, '{"return_code": 0, "content": "1"}')
        assert LegacyXQueue("https://xqueue.example.com").send(PARSED, BODY, ()) == (0, "1")


def test_no_second_login(server: XQueueServer) -> None:
    """C36: if the server loses its sessions, the send fails after one new login."""
    server.sessions_work = False
    assert send() == (1, "login_required")
    assert server.calls == [*LOGGED_IN, "GET login"]


def test_basic_auth_on_every_request(server: XQueueServer, settings) -> None:
    """C33: a proxy's password goes with every request, the redirected one included."""
    server.basic_auth = ("proxy", "secret")
    settings.XQUEUE_INTERFACE["basic_auth"] = ["proxy", "secret"]
    assert send() == (0, "1")
    assert server.calls == LOGGED_IN


def test_no_basic_auth_unless_configured(server: XQueueServer, tmp_path, monkeypatch) -> None:
    """C33: otherwise none, not even one from the machine's own files."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    LegacyXQueue(server.url, {}).send(PARSED, BODY, ())
    first = server.requests[0]
    assert (first.action, first.authorization) == ("submit", None)


def test_arguments_come_before_settings(server: XQueueServer, settings) -> None:
    """C33, C34: a server, account and proxy that are passed in are the ones used."""
    settings.XQUEUE_INTERFACE = {"url": "http://127.0.0.1:1", "basic_auth": ("not", "this")}
    server.basic_auth = ("proxy", "secret")
    legacy = LegacyXQueue(f"{server.url}/", server.auth, HTTPBasicAuth("proxy", "secret"))
    assert legacy.send(PARSED, BODY, ()) == (0, "1")


@pytest.mark.parametrize("interface", [None, {}, {"url": ""}])
def test_no_server(settings, interface) -> None:
    """C9: a host without an XQueue server says so."""
    settings.XQUEUE_INTERFACE = interface
    with pytest.raises(SendError, match="no grading server"):
        send()


def test_refusals_are_the_servers_own(server: XQueueServer) -> None:
    """C27, C35: the server's text comes back."""
    header = make_xheader("http://lms.example.com/", KEY, "other")
    assert LegacyXQueue().send(parse_xheader(header), BODY, ()) == (1, "Queue 'other' not found")
    assert LegacyXQueue().send(XHeader("", KEY, "demo", "[]"), BODY, ()) == (
        1,
        "Queue request has invalid format",
    )


# --- faults


def test_timeouts_and_certificates(monkeypatch) -> None:
    """C37, C40: 3.05 s to connect, 10 s to read; certificates are verified."""
    for machines_own in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(machines_own, raising=False)
    with responses.RequestsMock() as double:
        double.post(
            "https://xqueue.example.com/xqueue/submit/", '{"return_code": 0, "content": "1"}'
        )
        assert LegacyXQueue("https://xqueue.example.com/").send(PARSED, BODY, ()) == (0, "1")
        sent = double.calls[0].request.req_kwargs
        assert SITES_HEADER not in double.calls[0].request.headers  # no site has forwarded it
    assert sent["timeout"] == (3.05, 10)
    assert sent["verify"] is True


def test_closed_port_is_an_error() -> None:
    """C37: a refused connection."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(SendError, match=r"^cannot connect to server$"):
            LegacyXQueue(url).send(PARSED, BODY, ())


def test_no_answer_in_time(server: XQueueServer, monkeypatch) -> None:
    """C37: a server that accepts and says nothing."""
    monkeypatch.setattr(legacy_xqueue, "TIMEOUTS", (3, 0.05))
    over = threading.Event()
    server.instead["submit"] = [Response(delay=over)]
    with pytest.raises(SendError, match=r"^failed to read from the server$"):
        send()
    over.set()


@pytest.mark.parametrize("status", [201, 403, 404, 500, 503])
def test_odd_status(server: XQueueServer, status: int) -> None:
    """C37: any status but 200."""
    server.instead["submit"] = [Response("<h1>no</h1>", status)]
    with pytest.raises(SendError, match=rf"^unexpected HTTP status code \[{status}\]$"):
        send()


@pytest.mark.parametrize(
    "answer",
    [
        Response(""),
        Response("<html>maintenance</html>"),
        Response("[]"),
        Response("7"),
        Response("{}"),
        Response('{"return_code": 0}'),
        Response('{"content": "7"}'),
        envelope("0", "7"),
        envelope(0, None),
        envelope(0, ["7"]),
    ],
    ids=lambda answer: answer.body[:30],
)
def test_odd_reply(server: XQueueServer, answer: Response) -> None:
    """C38: a reply that is not of the protocol."""
    server.instead["submit"] = [answer]
    assert send() == (1, ODD)


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (requests.exceptions.ConnectTimeout, "cannot connect to server"),
        (requests.exceptions.SSLError, "cannot connect to server"),
        (requests.exceptions.ChunkedEncodingError, "failed to read from the server"),
        (requests.exceptions.ContentDecodingError, ODD),
        (requests.exceptions.TooManyRedirects, ODD),
        (requests.exceptions.InvalidURL, ODD),
        (UnicodeError, ODD),
    ],
)
def test_every_way_to_fail(caplog, raised: type[Exception], text: str) -> None:
    """C38, C40: whatever happens to a request is one of the known texts; details stay here."""
    with responses.RequestsMock() as double:
        double.post("https://xqueue.example.com/xqueue/submit/", body=raised("https://u:pw@host"))
        with pytest.raises(SendError) as failure:
            LegacyXQueue("https://xqueue.example.com").send(PARSED, BODY, ())
    assert str(failure.value) == text
    assert f"XQueue submit failed: {raised.__name__}" in caplog.text
    assert "pw@host" not in caplog.text


@pytest.mark.parametrize(
    "url", ["nonsense", "http://", "ftp://example.com", "http://[::1", "http://a b"]
)
def test_address_that_is_none(url: str) -> None:
    """C38: a mistake in the settings is an error, not an exception of another kind."""
    with pytest.raises(SendError):
        LegacyXQueue(url).send(PARSED, BODY, ())


def test_redirects_in_a_circle(server: XQueueServer) -> None:
    """C38: a server that redirects without end is left."""
    server.instead["submit"] = [
        Response(status=302, location="/xqueue/submit/") for _round in range(31)
    ]
    with pytest.raises(SendError, match=ODD):
        send()


# --- what must not get out


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<script>alert(1)</script>", "script alert(1) /script"),
        ("see http://lms:other@xqueue.example.com", "see"),
        ("see http://lms:let-me-in@xqueue.example.com", ODD),
        ("password let-me-in is wrong", ODD),
        ("proxy password proxy-secret is wrong", ODD),
        (f"no such key {KEY}", ODD),
        ("a\x00b\x1b[1m\n\nc", "a b [1m c"),
        ("<>\n", ODD),
        ("x" * 5000, "x" * 200),
    ],
)
def test_server_text_is_made_harmless(server: XQueueServer, settings, content, text) -> None:
    """C10: a server cannot put markup, addresses or our secrets before the learner."""
    settings.XQUEUE_INTERFACE["basic_auth"] = ("proxy", "proxy-secret")
    server.instead["submit"] = [envelope(1, content)]
    assert send() == (1, text)


def test_refusals_are_logged(server: XQueueServer, settings, caplog) -> None:
    """C40: a password that is wrong is the operators' to mend, and so is a queue's name."""
    send()
    assert not caplog.records
    server.instead["submit"] = [envelope(1, f"{KEY} has no queue")]
    send()
    settings.XQUEUE_INTERFACE["django_auth"] = {"username": "lms", "password": "wrong"}
    send()
    assert [record.getMessage() for record in caplog.records] == [
        "XQueue submit refused: return code 1",
        "XQueue login refused: return code 1",
    ]


def test_logs_are_clean(server: XQueueServer, settings, caplog) -> None:
    """C40: neither credentials, nor keys, nor the answer are logged."""
    settings.XQUEUE_INTERFACE["basic_auth"] = ("proxy", "proxy-secret")
    caplog.set_level(logging.DEBUG)
    server.instead["submit"] = [envelope(1, "login_required"), Response("", 500)]
    with pytest.raises(SendError):
        send(upload("a.py", b"print(1)"))
    assert "XQueue submit failed: HTTP status 500" in caplog.text
    for secret in (server.auth["password"], "proxy-secret", KEY, "student_response", "print"):
        assert secret not in caplog.text


def test_the_callback_goes_the_legacy_way(server: XQueueServer) -> None:
    """C41: the server posts back the very header that it was sent, with the grader's reply."""
    send()
    reply = json.dumps({"correct": True, "score": 1, "msg": "<p>fine</p>"})
    with responses.RequestsMock() as lms:
        lms.post("http://lms.example.com/courses/anywhere")
        server.answer(server.items[0], reply)
        [call] = lms.calls
    form = dict(parse_qsl(call.request.body))
    assert form == {"xqueue_header": HEADER, "xqueue_body": reply}


@pytest.mark.parametrize("status", [301, 302, 303])
def test_redirect_to_https_is_an_error_that_names_the_setting(caplog, status: int) -> None:
    """C38: a redirected POST becomes a GET, so the submission has not arrived."""
    with responses.RequestsMock() as double:
        there = "https://u:pw@xqueue.example.com/xqueue/submit/"
        double.post(
            "http://xqueue.example.com/xqueue/submit/", status=status, headers={"Location": there}
        )
        double.get(there, '{"return_code": 1, "content": "must use POST"}')
        with pytest.raises(SendError, match=rf"^unexpected HTTP status code \[{status}\]$"):
            LegacyXQueue("http://xqueue.example.com").send(PARSED, BODY, ())
    assert "redirects to https://xqueue.example.com" in caplog.text
    assert "XQUEUE_INTERFACE['url']" in caplog.text
    assert "pw@" not in caplog.text


def test_redirect_without_a_host_is_logged_by_its_path(caplog) -> None:
    """C38, C40: the server has dropped the slash at the end, and the POST with it."""
    with responses.RequestsMock() as double:
        double.post(SUBMIT, status=301, headers={"Location": "/xqueue/submit"})
        double.get(SUBMIT.rstrip("/"), '{"return_code": 1, "content": "must use POST"}')
        with pytest.raises(SendError):
            LegacyXQueue("https://xqueue.example.com").send(PARSED, BODY, ())
    assert "redirects to /xqueue/submit (HTTP status 301)" in caplog.text


def test_text_that_is_not_utf_8_is_read_as_the_server_says() -> None:
    """C38: an old server may send another encoding, and says which."""
    with responses.RequestsMock() as double:
        body = '{"return_code": 1, "content": "für heute zu"}'.encode("latin-1")
        double.post(SUBMIT, body=body, content_type="application/json; charset=latin-1")
        sent = LegacyXQueue("https://xqueue.example.com").send(PARSED, BODY, ())
    assert sent == (1, "für heute zu")


def test_redirect_that_keeps_the_post(caplog) -> None:
    """C38: with 307 and 308 the POST is repeated at the other address."""
    with responses.RequestsMock() as double:
        there = "https://xqueue.example.com/xqueue/submit/"
        double.post(
            "http://xqueue.example.com/xqueue/submit/", status=308, headers={"Location": there}
        )
        double.post(there, '{"return_code": 0, "content": "1"}')
        assert LegacyXQueue("http://xqueue.example.com").send(PARSED, BODY, ()) == (0, "1")


@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
def test_response_with_a_byte_order_mark(content_type: str) -> None:
    """C38, C39: a byte order mark before the JSON is ignored, in whatever type it is declared."""
    with responses.RequestsMock() as double:
        body = b"\xef\xbb\xbf" + b'{"return_code": 0, "content": "3"}'
        double.post(
            "https://xqueue.example.com/xqueue/submit/", body=body, content_type=content_type
        )
        assert LegacyXQueue("https://xqueue.example.com").send(PARSED, BODY, ()) == (0, "3")


def answer_of(status: int, body: bytes, headers: dict[str, str], *, of_login: bool) -> None:
    """Send to a server whose submit, or login, responds like this; check what comes back."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as double:
        if of_login:
            double.post(SUBMIT, LOGIN_REQUIRED)
        double.post(LOGIN if of_login else SUBMIT, body=body, status=status, headers=headers)
        double.get(re.compile(r"https?://"), '{"return_code": 1, "content": "must use POST"}')
        try:
            error, content = LegacyXQueue("https://xqueue.example.com").send(PARSED, BODY, ())
        except SendError as failure:
            error, content = 1, str(failure)
    assert type(error) is int
    assert error or (status == 200 and json.loads(body.decode("utf-8-sig"))["return_code"] == 0)
    assert content.isprintable()
    assert content.strip()
    assert len(content) <= 200
    assert not set("<>&") & set(content)
    assert KEY not in content


SUBMIT = "https://xqueue.example.com/xqueue/submit/"
LOGIN = "https://xqueue.example.com/xqueue/login/"
LOGIN_REQUIRED = '{"return_code": 1, "content": "login_required"}'
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "return_code": st.sampled_from([0, 1, 2]) | json_values,
        "content": st.sampled_from(["7", "login_required", f"no {KEY}"]) | json_values,
    },
).map(lambda members: json.dumps(members).encode())
header_texts = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40)


@given(
    status=st.sampled_from([200, 200, 200, 201, 204, 301, 302, 303, 307, 308, 400, 403, 500, 503])
    | st.integers(200, 599),
    body=envelopes | envelopes.map(lambda text: b"\xef\xbb\xbf" + text) | st.binary(max_size=400),
    content_type=st.sampled_from(["text/html", "application/json; charset=utf-16"]) | header_texts,
    encoding=st.sampled_from([None, None, "gzip", "deflate", "br", "odd"]),
    location=st.sampled_from([None, SUBMIT, LOGIN, "http://[", "//"]) | header_texts,
    of_login=st.booleans(),
)
def test_any_response_is_a_code_and_a_plain_text(
    status, body, content_type, encoding, location, of_login
) -> None:
    """C10, C38: no response raises; a success is one that the server has said."""
    headers = {"Content-Type": content_type, "Content-Encoding": encoding, "Location": location}
    given_headers = {name: value for name, value in headers.items() if value is not None}
    answer_of(status, body, given_headers, of_login=of_login)
