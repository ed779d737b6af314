"""What every transport promises, asked of each through the one call that blocks make."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests import odd_json
from tests.doubles.problem_block import problem_block
from tests.doubles.xqueue_server import XQueueServer
from tests.property_examples import few
from xqueue_bridge import XQueueService
from xqueue_bridge.protocol.headers import make_xheader
from xqueue_bridge.submission_queue import files as stored_files
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.xqueue_service.models import TransportOverride

pytestmark = pytest.mark.django_db

BODY = (
    '{ "student_response": "print(\\"ü\\")",\r\n\t"grader_payload":null, "more": "é&=%+ \\u0000" }'
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@dataclass
class Arrived:
    """A submission at the other end."""

    header: str
    body: str
    files: list[tuple[str, bytes]]


@dataclass
class Way:
    """One transport, and how to look at its other end."""

    arrived: Callable[[], list[Arrived]]
    service: XQueueService

    def send(self, body: Any = BODY, *, queue: str = "demo", key: str = "k", **files: Any) -> Any:
        return self.service.interface.send_to_queue(
            header=self.header(queue, key), body=body, **files
        )

    def header(self, queue: str = "demo", key: str = "k") -> str:
        return make_xheader(self.service.construct_callback(), key, queue)


def in_table() -> list[Arrived]:
    return [
        Arrived(content.header, content.body, _contents(content))
        for content in SubmissionContent.objects.filter(submission__isnull=False).order_by("pk")
    ]


def _contents(content: SubmissionContent) -> list[tuple[str, bytes]]:
    found = []
    for file in content.stored_files():
        with stored_files.open_file(file) as opened:
            found.append((file.name, opened.read()))
    return found


@pytest.fixture(params=["legacy", "table"])
def way(request: pytest.FixtureRequest, server: XQueueServer, settings) -> Way:
    """A service whose course takes one transport or the other; both know the same queue."""
    settings.XQUEUE_BRIDGE = {"REJECT_UNKNOWN_QUEUES": True, "QUEUES": {"demo": {}}}
    service = XQueueService(problem_block())
    if request.param == "table":
        TransportOverride.objects.create(scope="site", use_submissions_table=True)
        return Way(in_table, service)

    def at_server() -> list[Arrived]:
        return [
            Arrived(
                item.form["xqueue_header"],
                item.form["xqueue_body"],
                [(name, content) for _part, name, content in item.files],
            )
            for item in server.items
        ]

    return Way(at_server, service)


def test_it_works(way: Way) -> None:
    """C7, C8: integer 0 and the queue length, as decimal text."""
    assert way.send() == (0, "1")
    assert way.send(key="k2") == (0, "2")
    assert type(way.send(key="k3")[0]) is int


def test_header_and_body_arrive_as_they_are(way: Way) -> None:
    """C12, C13: byte for byte, with a key of any form."""
    way.send(key="not 32 hex: é\n")
    assert way.arrived() == [Arrived(way.header(key="not 32 hex: é\n"), BODY, [])]


@hypothesis_settings(
    max_examples=few(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=texts)
def test_any_body_arrives_as_it_is(way: Way, body: str) -> None:
    """C13: whatever a block sends."""
    Submission.objects.all().delete()  # at most MAX_PENDING_ANSWERS of a learner wait
    assert way.send(body)[0] == 0
    assert way.arrived()[-1].body == body


@pytest.mark.parametrize("payload", ["", None, "problem_2", "[1, 2]", "7", '{"output": "hello"}'])
def test_any_grader_payload(way: Way, payload: str | None) -> None:
    """C14: the bridge does not look into what an author writes for the grader."""
    body = json.dumps({"grader_payload": payload, "student_info": "{}", "student_response": "x"})
    assert way.send(body) == (0, "1")
    assert way.arrived()[0].body == body


def test_files_arrive(way: Way) -> None:
    """C16, C18: every file with its name and content, equal names included."""
    pieces = [("a.py", b"print(1)\r\n"), ("a.py", b"\x00\xff"), ("größe.txt", b"3")]
    uploads = [SimpleUploadedFile(name, content) for name, content in pieces]
    assert way.send(files_to_upload=uploads) == (0, "1")
    assert way.arrived()[0].files == pieces


def test_no_files_arrive(way: Way) -> None:
    """C17: an empty list of files is a submission without files."""
    assert way.send(files_to_upload=[]) == (0, "1")
    assert way.arrived()[0].files == []


def refused(way: Way, outcome: tuple[int, str], *, saying: str) -> None:
    """Assert an error tuple whose text a learner may read, and that nothing was sent."""
    error, msg = outcome
    assert type(error) is int
    assert error
    assert saying in msg
    assert msg.isprintable()
    assert not set("<>&") & set(msg)
    assert len(msg) <= 200
    assert way.arrived() == []
    assert not Submission.objects.exists()
    assert not SubmissionContent.objects.exists()


@pytest.mark.parametrize(
    ("body", "saying"),
    [
        ("x" * 101, "your answer is too large: it takes 101 bytes, and at most 100"),
        ("é" * 51, "your answer is too large: it takes 102 bytes, and at most 100"),
        ("a\0b", "xqueue_body: contains a NUL character"),
        ("\ud800", "xqueue_body: is not valid Unicode"),
        (None, "xqueue_body: is not text"),
        (b"{}", "xqueue_body: is not text"),
    ],
)
def test_body_that_cannot_be_sent(way: Way, settings, body: Any, saying: str) -> None:
    """C7, C9, C11, C26: an error that names the body, and nothing left behind."""
    settings.XQUEUE_BRIDGE = {"MAX_BODY_BYTES": 100}
    refused(way, way.send(body), saying=saying)


def test_a_large_program_can_be_sent(way: Way) -> None:
    """C26: the default limit is not below what the legacy server's TEXT column takes."""
    assert way.send("x" * 65_535) == (0, "1")


def test_too_many_or_too_large_files(way: Way, settings) -> None:
    """C9, C11, C26: limits on files are named."""
    settings.XQUEUE_BRIDGE = {"MAX_FILES": 1, "MAX_FILE_BYTES": 3}
    large, small = SimpleUploadedFile("a", b"1234"), SimpleUploadedFile("b", b"1")
    refused(way, way.send(files_to_upload=[large]), saying="file 1 is larger than 3 bytes")
    refused(
        way, way.send(files_to_upload=[small, small]), saying="there are 2 files, and at most 1"
    )


SECRET_PATH = "/secret" + "/path"


class Unreadable:
    """A file whose content is gone."""

    name = "a.py"

    def read(self, size: int = -1) -> bytes:
        raise OSError(SECRET_PATH)


@pytest.mark.parametrize(
    ("files", "saying"),
    [
        ([Unreadable()], "file 1 could not be read"),
        ([object()], "file 1 could not be read"),
        (7, "the answer could not be stored"),
    ],
)
def test_files_that_cannot_be_read(way: Way, files: Any, saying: str, caplog) -> None:
    """C7, C10, C11: an error without the exception's own text, here or in the log."""
    refused(way, way.send(files_to_upload=files), saying=saying)
    assert SECRET_PATH not in caplog.text


@pytest.mark.parametrize(
    "header", ["", "{", "[]", "null", "{}", '{"lms_key": "k", "queue_name": "demo"}', None, 5]
)
def test_header_that_cannot_be_used(way: Way, header: Any) -> None:
    """C7, C11: an error, and nothing left behind."""
    outcome = way.service.interface.send_to_queue(header=header, body=BODY)
    refused(way, outcome, saying="")


@hypothesis_settings(
    max_examples=few(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    header=st.text(st.characters())
    | odd_json.texts({"lms_callback_url": "url", "lms_key": "k", "queue_name": "demo"}),
    body=st.text(st.characters()),
)
def test_no_text_raises(way: Way, server: XQueueServer, header: str, body: str) -> None:
    """C7: a pair, whatever the two texts are; without an error, the submission has arrived."""
    Submission.objects.all().delete()
    server.items.clear()
    header = header.replace('"url"', json.dumps(way.service.construct_callback()))
    error, msg = way.service.interface.send_to_queue(header, body)
    assert (type(error), type(msg)) == (int, str)
    assert len(way.arrived()) == (0 if error else 1)


def test_unknown_queue(way: Way) -> None:
    """C11, C27: an unknown queue is rejected with the protocol's text."""
    refused(way, way.send(queue="missing's"), saying="Queue 'missing's' not found")
    refused(way, way.send(queue="<b>&"), saying="Queue ' b ' not found")


def test_service_is_what_chooses(way: Way, server: XQueueServer) -> None:
    """C28: what went one way is not found on the other."""
    way.send()
    assert len(server.items) + Submission.objects.count() == 1
