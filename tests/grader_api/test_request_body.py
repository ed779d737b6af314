"""Bodies of requests as clients and proxies send them, passed to the WSGI and ASGI handlers."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.property_examples import few
from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    PROBLEM,
    GraderClient,
    make_grader,
    new_submission,
)
from xqueue_bridge.grader_api.request_body import prepare_body
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=part.x"
CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
STORED = {"return_code": 0, "content": ""}
BOM = b"\xef\xbb\xbf"


def encode(fields: dict[str, str], content_type: str) -> bytes:
    if content_type == FORM:
        return urlencode(fields).encode()
    if content_type == MULTIPART:
        part = '--part.x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
        return (
            "".join(part.format(*field) for field in fields.items()) + "--part.x--\r\n"
        ).encode()
    return json.dumps(fields).encode()


def pulled(grader: GraderClient) -> dict[str, str]:
    """Pull a submission; return the fields of its result."""
    api.enqueue(new_submission())
    submission = grader.pull()
    assert submission
    return {"xqueue_header": submission.header, "xqueue_body": GOOD_REPLY}


def cookies_of(grader: GraderClient) -> str:
    return "; ".join(f"{each.key}={each.value}" for each in grader.http.cookies.values())


def post(
    grader: GraderClient,
    body: bytes,
    content_type: str,
    path: str = "/xqueue/put_result/",
    **more: Any,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Call the WSGI handler as a server does; return the envelope and the response's headers."""
    started: dict[str, str] = {}
    chunks = get_wsgi_application()(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "CONTENT_TYPE": content_type,
            "HTTP_COOKIE": cookies_of(grader),
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http",
            **more,
        },
        lambda status, headers, exc_info=None: started.update(dict(headers), status=status),
    )
    assert started["status"] == "200 OK"
    envelope = json.loads(b"".join(chunks))
    chunks.close()
    return envelope, started


def raw_deflate(data: bytes) -> bytes:
    """Compress without zlib's header, as some clients do for "deflate"."""
    writer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return writer.compress(data) + writer.flush()


def length_of(body: bytes) -> dict[str, str]:
    return {"CONTENT_LENGTH": str(len(body))}


@pytest.fixture
def grader(transactional_db) -> GraderClient:
    return make_grader("python")


@pytest.fixture
def submitter(transactional_db, settings) -> GraderClient:
    settings.XQUEUE_BRIDGE = {"CALLBACK_PREFIXES": ("http://lms.example.com/courses/",)}
    client = GraderClient(api.create_grader("lms", may_submit=True), "lms")
    client.login()
    return client


@pytest.mark.parametrize("content_type", [FORM, MULTIPART, "application/json"])
def test_chunked_body_is_stored(grader, content_type):
    """C79: a result without Content-Length, whose end the server finds, is stored."""
    body = encode(pulled(grader), content_type)
    assert post(grader, body, content_type, **CHUNKED)[0] == STORED


def test_chunked_login_is_accepted(grader):
    """C43: a login in chunks, as Go and Node send it, is accepted."""
    body = urlencode({"username": grader.name, "password": grader.secret}).encode()
    response, _ = post(grader, body, FORM, "/xqueue/login/", **CHUNKED)
    assert response == {"return_code": 0, "content": "Logged in"}


def test_chunked_body_on_a_server_without_chunks_is_refused(grader):
    """C83: the error names the length, and not a field that was sent."""
    body = encode(pulled(grader), FORM)
    response, headers = post(grader, body, FORM, HTTP_TRANSFER_ENCODING="chunked")
    assert response == {"return_code": 1, "content": "Incorrect reply format"}
    assert headers["X-XQueue-Problem"].startswith("body: has no Content-Length")
    assert Submission.objects.get().status == "leased"


def large_result(grader: GraderClient, characters: int, content_type: str, way: str) -> Any:
    """Post a result with feedback of emoji, each of which takes up to 16 bytes."""
    reply = json.dumps({"correct": True, "score": 1, "msg": "\U0001f600" * characters})
    body = encode({**pulled(grader), "xqueue_body": reply}, content_type)
    if way == "chunked":
        return post(grader, b"", content_type, **CHUNKED | {"wsgi.input": io.BytesIO(body)})
    if way == "gzip":
        body = gzip.compress(body)
        more = length_of(body) | {"HTTP_CONTENT_ENCODING": "gzip"}
        return post(grader, body, content_type, **more)
    return post(grader, body, content_type, **length_of(body))


@pytest.mark.parametrize("way", ["plain", "gzip", "chunked"])
@pytest.mark.parametrize("content_type", [FORM, "application/json"])
def test_result_over_djangos_limit_keeps_its_grade(grader, settings, way, content_type):
    """C79, C84: up to 16 times MAX_REPLY_BYTES are read, and the feedback is shortened."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    settings.XQUEUE_BRIDGE = {"MAX_REPLY_BYTES": 2000}
    assert large_result(grader, 1800, content_type, way)[0] == STORED
    reply = ReceivedReply.objects.get()
    assert (reply.correct, reply.score_given) == (True, 1)
    assert "feedback_shortened" in str(reply.codes)
    assert 500 < len(reply.message.encode()) < 3000


@pytest.mark.parametrize("way", ["plain", "gzip", "chunked"])
def test_larger_result_is_refused_and_keeps_its_lease(grader, settings, way):
    """C84: the limit is that of results, and the response names it."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    settings.XQUEUE_BRIDGE = {"MAX_REPLY_BYTES": 2000}
    response, headers = large_result(grader, 2000, FORM, way)
    assert response == {"return_code": 1, "content": "Incorrect reply format"}
    assert headers["X-XQueue-Problem"] == "body: is larger than 32,000 bytes"
    assert headers["X-XQueue-Code"] == "body_too_large"
    assert Submission.objects.get().status == "leased"


def test_chunked_body_over_djangos_limit_is_refused(grader, settings):
    """C84: reading stops at Django's limit, also without a Content-Length."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    settings.XQUEUE_BRIDGE = {"MAX_REPLY_BYTES": 50}
    endless = io.BytesIO(b"x" * 10_000)
    response, headers = post(grader, b"", FORM, **{**CHUNKED, "wsgi.input": endless})
    assert headers["X-XQueue-Problem"] == "body: is larger than 1,000 bytes"
    assert headers["X-XQueue-Code"] == "body_too_large"
    assert response["return_code"] == 1
    assert endless.tell() == 1001


def test_chunked_body_whose_sender_disconnects_is_refused(grader):
    """C84: a body that is cut off is refused, with status 200."""

    class Broken(io.BytesIO):
        def read(self, *args: Any) -> bytes:
            raise OSError("bad chunk")

    response, headers = post(grader, b"", FORM, **{**CHUNKED, "wsgi.input": Broken()})
    assert headers["X-XQueue-Problem"] == "body: ended before it was complete"
    assert headers["X-XQueue-Code"] == "body_incomplete"
    assert response["return_code"] == 1


@pytest.mark.parametrize("length", ["abc", "-5", "1.5", "9" * 5000])
@pytest.mark.parametrize(
    ("path", "content_type"), [("put_result", FORM), ("submit", MULTIPART), ("login", FORM)]
)
def test_length_that_is_no_number_is_refused(grader, path, content_type, length):
    """C44, C84: it is no server error, and the response names the header."""
    more = {"CONTENT_LENGTH": length}
    response, headers = post(grader, b"x", content_type, f"/xqueue/{path}/", **more)
    assert response["return_code"] == 1
    assert headers["X-XQueue-Problem"] == "Content-Length: must be a number of bytes"


@pytest.mark.parametrize("content_type", [FORM, MULTIPART, "application/json"])
@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
    ],
)
def test_compressed_body_is_stored(grader, content_type, encoding, compress):
    """C79: a result with Content-Encoding gzip or deflate is stored."""
    body = compress(encode(pulled(grader), content_type))
    more = {"HTTP_CONTENT_ENCODING": encoding, **length_of(body)}
    assert post(grader, body, content_type, **more)[0] == STORED


def test_compressed_and_chunked_body_is_stored(grader):
    """C79: a body with both is stored."""
    body = gzip.compress(encode(pulled(grader), FORM))
    assert post(grader, body, FORM, HTTP_CONTENT_ENCODING="gzip", **CHUNKED)[0] == STORED


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("br", b"x", "Content-Encoding: must be gzip, deflate, or left out"),
        ("gzip, gzip", b"x", "Content-Encoding: must be gzip, deflate, or left out"),
        ("gzip", b"not gzip", "body: is not in the Content-Encoding of the request"),
        ("gzip", gzip.compress(b"x", mtime=0)[:-4], "body: ends before its Content-Encoding does"),
        (
            "gzip",
            gzip.compress(b"x", mtime=0) * 2,
            "body: goes on after its Content-Encoding has ended",
        ),
        ("gzip", gzip.compress(b"x" * 2_000_000, mtime=0), "body: is larger than 1,000,000 bytes"),
    ],
)
def test_body_that_cannot_be_decompressed_is_refused(grader, settings, encoding, body, reason):
    """C83, C84: the error names the encoding; decompression stops at Django's limit."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
    settings.XQUEUE_BRIDGE = {"MAX_REPLY_BYTES": 50}
    more = {"HTTP_CONTENT_ENCODING": encoding, **length_of(body)}
    response, headers = post(grader, body, FORM, **more)
    assert response == {"return_code": 1, "content": "Incorrect reply format"}
    assert headers["X-XQueue-Problem"] == reason


@pytest.mark.parametrize("more", [{}, {"HTTP_CONTENT_ENCODING": "gzip"}, CHUNKED])
def test_body_of_any_size_is_stored_without_djangos_limit(grader, settings, more):
    """C79: DATA_UPLOAD_MAX_MEMORY_SIZE may be None."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    body = encode(pulled(grader), FORM)
    body = gzip.compress(body) if "HTTP_CONTENT_ENCODING" in more else body
    length = {} if more is CHUNKED else length_of(body)
    assert post(grader, body, FORM, **more, **length)[0] == STORED


def test_headers_describe_the_body_that_replaces_another(rf):
    """A view, or the host's middleware, may have read the headers before."""
    body = b"xqueue_header=x"
    request = rf.post("/", gzip.compress(body), FORM, headers={"content-encoding": "gzip"})
    assert request.headers["Content-Encoding"] == "gzip"
    prepare_body(request)
    assert "Content-Encoding" not in request.headers
    assert (request.body, request.headers["Content-Length"]) == (body, str(len(body)))
    assert request.POST == {"xqueue_header": ["x"]}


@pytest.mark.parametrize("content_type", [FORM, "application/json"])
def test_body_with_a_byte_order_mark_is_stored(grader, content_type):
    """C79: a byte order mark before the body is ignored."""
    body = BOM + encode(pulled(grader), content_type)
    assert post(grader, body, content_type, **length_of(body))[0] == STORED


@pytest.mark.parametrize("field", ["xqueue_header", "xqueue_body"])
@pytest.mark.parametrize("content_type", [FORM, MULTIPART, "application/json"])
def test_field_with_a_byte_order_mark_is_stored(grader, content_type, field):
    """C79: a byte order mark before a field is ignored."""
    fields = pulled(grader)
    fields[field] = "\ufeff" + fields[field]
    body = encode(fields, content_type)
    assert post(grader, body, content_type, **length_of(body))[0] == STORED


@pytest.mark.parametrize("charset", ["utf-8", "utf-16"])
def test_json_in_the_charset_of_its_media_type_is_stored(grader, charset):
    """C79: JSON is read in the charset that its media type names."""
    body = json.dumps(pulled(grader)).encode(charset)
    content_type = f"application/json; charset={charset}"
    assert post(grader, body, content_type, **length_of(body))[0] == STORED


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
def test_json_in_utf_16_with_a_byte_order_mark_is_stored(grader, charset):
    """C79: the byte order mark says what the media type does not."""
    body = ("\ufeff" + json.dumps(pulled(grader))).encode(charset)
    assert post(grader, body, "application/json", **length_of(body))[0] == STORED


def test_broken_utf_16_is_refused(grader):
    """C83: the error names the body."""
    response, headers = post(grader, b"\xff\xfe\x00\xd8", "application/json", **length_of(b"1234"))
    assert response == {"return_code": 1, "content": "Incorrect reply format"}
    assert headers["X-XQueue-Problem"] == "body: is not what its Content-Type says"


def multipart_submission() -> bytes:
    url = f"http://lms.example.com/courses/{COURSE}/xqueue/7/{PROBLEM}/score_update"
    header = {"lms_callback_url": url, "lms_key": "key-1", "queue_name": "python"}
    fields = {"xqueue_header": json.dumps(header), "xqueue_body": "{}"}
    file = '--part.x\r\nContent-Disposition: form-data; name="a.py"; filename="a.py"\r\n\r\n1\r\n'
    return file.encode() + encode(fields, MULTIPART)


@pytest.mark.parametrize(
    ("how", "change"),
    [
        (CHUNKED, bytes),
        ({"HTTP_CONTENT_ENCODING": "gzip"}, gzip.compress),
        ({"HTTP_CONTENT_ENCODING": "gzip", **CHUNKED}, gzip.compress),
    ],
    ids=["chunked", "gzip", "both"],
)
def test_submission_with_a_file_is_stored_chunked_or_compressed(submitter, how, change):
    """C47: without a length, or compressed, a multipart form is read into memory."""
    body = change(multipart_submission())
    how = how if "wsgi.input_terminated" in how else {**how, **length_of(body)}
    assert post(submitter, body, MULTIPART, "/xqueue/submit/", **how)[0]["return_code"] == 0
    content = Submission.objects.get().content
    assert (content.body, [file.name for file in content.stored_files()]) == ("{}", ["a.py"])


@pytest.mark.parametrize(
    ("how", "body"),
    [(CHUNKED, b"x" * 200_000), ({"HTTP_CONTENT_ENCODING": "gzip"}, gzip.compress(b"x" * 200_000))],
    ids=["chunked", "gzip"],
)
def test_chunked_or_compressed_submission_over_all_limits_is_refused(
    submitter, settings, how, body
):
    """C47: the bound on files and texts together holds without a length, too."""
    limits = {"MAX_FILES": 1, "MAX_FILE_BYTES": 100_000, "MAX_BODY_BYTES": 40_000}
    settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, **limits}
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    how = how if "wsgi.input_terminated" in how else {**how, **length_of(body)}
    response, headers = post(submitter, body, MULTIPART, "/xqueue/submit/", **how)
    assert response == {"return_code": 1, "content": "Queue request has invalid format"}
    assert headers["X-XQueue-Problem"] == "body: is larger than 180,000 bytes"


def read_forms(get_response: Any) -> Any:
    """Read each form that is posted, as the tracking middleware of an LMS does."""

    def middleware(request: Any) -> Any:
        dict(request.POST)
        return get_response(request)

    return middleware


@pytest.mark.parametrize("content_type", [FORM, "application/json"])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_body_is_stored_if_middleware_reads_forms(grader, settings, content_type, encoding):
    """C79: a body that the middleware could not read is still read."""
    settings.MIDDLEWARE = [f"{__name__}.read_forms", *settings.MIDDLEWARE]
    body = encode(pulled(grader), content_type)
    if encoding:
        body = gzip.compress(body)
    more = {"HTTP_CONTENT_ENCODING": encoding, **CHUNKED}
    assert post(grader, body, content_type, **more)[0] == STORED


@pytest.mark.parametrize("content_type", [FORM, MULTIPART, "application/json"])
def test_chunked_body_over_asgi_is_stored(grader, content_type):
    """C79: an ASGI server passes a chunked body on in parts, without its length."""
    body = encode(pulled(grader), content_type)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/xqueue/put_result/",
        "query_string": b"",
        "headers": [
            (b"content-type", content_type.encode()),
            (b"cookie", cookies_of(grader).encode()),
            (b"transfer-encoding", b"chunked"),
        ],
    }

    async def request() -> dict[str, Any]:
        server = ApplicationCommunicator(get_asgi_application(), scope)
        await server.send_input({"type": "http.request", "body": body[:20], "more_body": True})
        await server.send_input({"type": "http.request", "body": body[20:]})
        start = await server.receive_output(30)
        assert start["status"] == 200
        response: dict[str, Any] = json.loads((await server.receive_output(30))["body"])
        return response

    assert async_to_sync(request)() == STORED


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=few(60), deadline=None
)
@given(
    body=st.binary(max_size=300),
    content_type=st.sampled_from([FORM, MULTIPART, "application/json", "", "text/plain"]),
    encoding=st.sampled_from(["", "gzip", "deflate", "br"]),
    chunked=st.booleans(),
)
def test_any_body_gets_an_envelope(grader, body, content_type, encoding, chunked):
    """C84: no bytes cause a server error, and none end a lease."""
    more = {**CHUNKED} if chunked else length_of(body)
    response, headers = post(grader, body, content_type, HTTP_CONTENT_ENCODING=encoding, **more)
    assert response == {"return_code": 1, "content": "Incorrect reply format"}
    assert headers["X-XQueue-Problem"]


@pytest.fixture
def waiting(transactional_db) -> int:
    """Save a state that waits for the queue key "live"; return the learner's id."""
    user_id: int = get_user_model().objects.create_user("learner").pk
    entry = {"correctness": "incomplete", "npoints": None, "msg": "1"}
    entry["queuestate"] = {"key": "live", "time": "20261120101010"}
    state = {"correct_map": {"loops_2_1": entry}, "score": {"raw_earned": 0, "raw_possible": 1}}
    learner_state.save_fields(user_id, COURSE, PROBLEM, state)
    return user_id


def post_to_callback(user_id: int, body: bytes, encoding: str = "") -> HttpResponse:
    url = quote(f"/courses/{COURSE}/xqueue/{user_id}/{PROBLEM}/score_update")
    return Client().generic("POST", url, body, FORM, headers={"content-encoding": encoding})


@pytest.mark.parametrize("field", ["xqueue_header", "xqueue_body"])
def test_callback_field_with_a_byte_order_mark_is_applied(waiting, field):
    """C110: a field that begins with a byte order mark is read."""
    fields = {"xqueue_header": '{"lms_key": "live"}', "xqueue_body": GOOD_REPLY}
    fields[field] = "\ufeff" + fields[field]
    assert post_to_callback(waiting, encode(fields, FORM)).status_code == 200
    score = learner_state.read_score(waiting, PROBLEM, COURSE)
    assert score
    assert score.earned == 1


def test_compressed_callback_is_applied_or_names_the_encoding(waiting):
    """C110, C115: gzip is read; another encoding, or a wrong length, is refused by its name."""
    fields = {"xqueue_header": '{"lms_key": "live"}', "xqueue_body": GOOD_REPLY}
    body = gzip.compress(encode(fields, FORM))
    refused = post_to_callback(waiting, body, "br")
    assert refused.status_code == 400
    assert refused.text.startswith("Content-Encoding: must be gzip")
    url = f"/courses/{COURSE}/xqueue/{waiting}/{PROBLEM}/score_update"
    refused = Client().generic("POST", url, body, FORM, CONTENT_LENGTH="abc")
    assert (refused.status_code, refused.text[:16]) == (400, "Content-Length: ")
    assert post_to_callback(waiting, body, "gzip").status_code == 200
    score = learner_state.read_score(waiting, PROBLEM, COURSE)
    assert score
    assert score.earned == 1
