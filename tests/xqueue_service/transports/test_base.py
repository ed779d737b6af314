"""The checks before any transport, and reading what blocks pass as files."""

import json
from io import BytesIO, StringIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.exceptions import InvalidField, LimitExceeded
from xqueue_bridge.xqueue_service.transports.base import check_body, plain_name, read_files


class BlocksFile:
    """As the real block wraps an upload: ``read`` and ``seek`` only by delegation."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.name = file.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class ReadsAll:
    """Can do no more than C16 asks: a name, and reading."""

    name = "answer.py"

    def read(self) -> bytes:
        return b"print(1)"


def on_disk() -> TemporaryUploadedFile:
    file = TemporaryUploadedFile("answer.py", "text/plain", 8, None)
    file.write(b"print(1)")
    return file


def read_before() -> SimpleUploadedFile:
    file = SimpleUploadedFile("answer.py", b"print(1)")
    file.read()
    return file


def named(file: Any) -> Any:
    file.name = "answer.py"
    return file


@pytest.mark.parametrize(
    "file",
    [
        SimpleUploadedFile("answer.py", b"print(1)"),
        BlocksFile(SimpleUploadedFile("answer.py", b"print(1)")),
        BlocksFile(on_disk()),
        on_disk(),
        read_before(),
        named(BytesIO(b"print(1)")),
        named(StringIO("print(1)")),
        ReadsAll(),
    ],
    ids=lambda file: type(file).__name__,
)
def test_any_kind_of_file_is_read(file: Any) -> None:
    """C16: a file is what has a name and can be read; all of it is read."""
    [upload] = read_files([file])
    assert (upload.name, upload.content.read(), upload.size) == ("answer.py", b"print(1)", 8)


@pytest.mark.parametrize("files", [None, [], ()])
def test_no_files(files: Any) -> None:
    """C17: an empty list is no file."""
    assert read_files(files) == ()


def test_limits_are_named(settings) -> None:
    """C26: the message says whether there are too many files or one is too large."""
    settings.XQUEUE_BRIDGE = {"MAX_FILES": 2, "MAX_FILE_BYTES": 3}
    fits, large = SimpleUploadedFile("a", b"123"), SimpleUploadedFile("b", b"1234")
    assert len(read_files([fits, fits])) == 2
    with pytest.raises(InvalidField, match=r"^there are 3 files, and at most 2 can be sent$"):
        read_files([fits, fits, fits])
    with pytest.raises(InvalidField, match=r"^file 2 is larger than 3 bytes$"):
        read_files([fits, large])


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("answer.py", "answer.py"),
        ("späte Lösung (2).py", "späte Lösung (2).py"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.py", "a.py"),
        ("a\r\nb\0.py", "ab.py"),
        ("..", "file"),
        ("folder/", "file"),
        ("", "file"),
        (None, "file"),
        ("\ud800", "file"),
        ("n" * 300, "n" * 255),
        ("n" * 300 + ".py", "n" * 252 + ".py"),
        ("n" * 300 + ".tar.gz", "n" * 248 + ".tar.gz"),
        ("n." + "x" * 300, "n." + "x" * 253),
    ],
)
def test_names_are_kept_but_lead_nowhere(given_name: Any, kept: str) -> None:
    """C16: a file keeps its own name; folders and what cannot be printed go."""
    assert plain_name(given_name) == kept


@given(st.text(st.characters()))
def test_any_name_becomes_a_plain_one(name: str) -> None:
    """C16: printable, not empty, no folder, and encodable."""
    kept = plain_name(name)
    assert kept.encode()
    assert kept.isprintable()
    assert kept not in ("", ".", "..")
    assert not set("/\\") & set(kept)
    assert plain_name(kept) == kept


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "is not text"),
        (b"{}", "is not text"),
        ("a\0b", "NUL"),
        ("\udc80", "Unicode"),
    ],
)
def test_text_that_cannot_be_carried(text: Any, reason: str) -> None:
    """C11: what would be changed or refused on the way is refused at its start, by name."""
    with pytest.raises(InvalidField, match=f"^xqueue_body: .*{reason}"):
        check_body(text)


def test_message_of_an_answer_over_the_limit_has_its_size(settings) -> None:
    """C26: the message has the size as it is sent and the limit, both in bytes."""
    settings.XQUEUE_BRIDGE = {"MAX_BODY_BYTES": 2000}
    body = json.dumps({"student_response": "\U0001f600" * 200})
    with pytest.raises(LimitExceeded, match="it takes 2,424 bytes, and at most 2,000 bytes"):
        check_body(body)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50))
def test_any_other_text_can(text: str) -> None:
    """C13: every text that can be stored is taken."""
    assert check_body(text) == text
