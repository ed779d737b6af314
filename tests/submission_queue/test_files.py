"""Uploaded files: stored under generated names, downloaded by signed URLs."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
import time_machine
from django.core import signing
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, storages
from hypothesis import given
from hypothesis import strategies as st

from tests.submission_queue.factories import upload
from xqueue_bridge.data import StoredFile, UploadedFile
from xqueue_bridge.options import Options
from xqueue_bridge.submission_queue.files import (
    FileToken,
    delete_files,
    display_names,
    make_file_token,
    open_file,
    read_file_token,
    store_file,
)


@pytest.fixture
def folder(settings, tmp_path):
    """A private storage in a folder of this test's own."""
    settings.STORAGES = {
        **settings.STORAGES,
        "elsewhere": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path)},
        },
    }
    settings.XQUEUE_BRIDGE = {"FILES_STORAGE_ALIAS": "elsewhere"}
    return tmp_path


def files_in(folder) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def test_stored_file_has_its_content_and_name(folder) -> None:
    """C16: content and name are read as they were stored."""
    stored = store_file(upload("größe.txt", b"\x00\xff\r\n"))
    assert (stored.name, stored.size) == ("größe.txt", 4)
    with open_file(stored) as opened:
        assert opened.read() == b"\x00\xff\r\n"
    delete_files([stored])
    assert files_in(folder) == []


@time_machine.travel("2026-11-20T08:00:00Z")
def test_storage_name_is_a_date_and_random_numbers(folder) -> None:
    """C16: neither learner nor author can influence the path."""
    stored = [store_file(upload("../../secret.py")) for _twice in range(2)]
    assert sorted(files_in(folder)) == sorted(file.storage_name for file in stored)
    for file in stored:
        assert re.fullmatch(r"2026/11/20/[0-9a-f]{32}/[0-9a-f]{8}", file.storage_name)


def test_file_is_stored_from_its_start(folder) -> None:
    """C16: a file that was read before is stored from its beginning."""
    half_read = upload()
    half_read.content.read(4)
    with open_file(store_file(half_read)) as opened:
        assert opened.read() == b"print(1)"


class BreaksHalfWay(BytesIO):
    """A file whose second half cannot be read."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise OSError("gone")
        return super().read(4)


def test_file_that_cannot_be_read_whole_is_not_stored(folder, monkeypatch) -> None:
    """C11: the stored part of the file is deleted."""
    monkeypatch.setattr(File, "DEFAULT_CHUNK_SIZE", 4)
    with pytest.raises(OSError, match="gone"):
        store_file(UploadedFile("a.py", BreaksHalfWay(b"print(1)"), 8))
    assert files_in(folder) == []


def test_missing_file_is_a_file_not_found_error(folder) -> None:
    """C16: a file that was deleted raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        open_file(StoredFile("a.py", "2026/11/20/gone", 8))


def test_file_that_cannot_be_deleted_does_not_stop_the_others(folder, monkeypatch, caplog) -> None:
    """C11: the others are deleted, and the log names the file that is left."""
    first, second = store_file(upload()), store_file(upload())
    real_delete = FileSystemStorage.delete

    def delete(storage: FileSystemStorage, name: str) -> None:
        if name == first.storage_name:
            raise OSError
        real_delete(storage, name)

    monkeypatch.setattr(FileSystemStorage, "delete", delete)
    assert delete_files([first, second]) == [first]
    assert files_in(folder) == [first.storage_name]
    assert first.storage_name in caplog.text


def test_files_are_in_the_storage_xqueue_bridge_by_default() -> None:
    """C16: learners' files do not go to the host's public storage."""
    assert Options().FILES_STORAGE_ALIAS == "xqueue_bridge"
    stored = store_file(upload())
    assert storages["xqueue_bridge"].exists(stored.storage_name)
    assert not storages["default"].exists(stored.storage_name)


# --- names for graders


def named(*names: str) -> list[StoredFile]:
    return [StoredFile(name, str(number), 1) for number, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([], []),
        (["a.py", "b.py"], ["a.py", "b.py"]),
        (["a.py", "a.py", "a.py"], ["a.py", "a-2.py", "a-3.py"]),
        (["a.py", "a.py", "a-2.py"], ["a.py", "a-3.py", "a-2.py"]),
        (["Makefile", "Makefile"], ["Makefile", "Makefile-2"]),
        (["a.tar.gz", "a.tar.gz"], ["a.tar.gz", "a.tar-2.gz"]),
        ([".bashrc", ".bashrc"], [".bashrc", ".bashrc-2"]),
    ],
)
def test_equal_names_are_numbered(names: list[str], shown: list[str]) -> None:
    """C18: two files of one name get different names with the same extension."""
    assert display_names(named(*names)) == shown


@given(st.lists(st.sampled_from(["a", "a-2", "a-3", "a.py", "a-2.py", "."]) | st.text(min_size=1)))
def test_any_names_become_distinct(names: list[str]) -> None:
    """C18: there are as many names as files, and the first of each name keeps it."""
    shown = display_names(named(*names))
    assert len(set(shown)) == len(names)
    assert all(shown[names.index(name)] == name for name in names)


# --- tokens


def test_token_is_read_as_it_was_made() -> None:
    """C98: a token names the file and the delivery for which it is valid."""
    token = make_file_token(5, 1, 2)
    assert read_file_token(token) == FileToken(submission_id=5, index=1, delivery=2)
    assert re.fullmatch(r"[\w:.-]+", token)


def test_tokens_of_other_deliveries_files_and_submissions_differ() -> None:
    """C98: each delivery has its own tokens."""
    tokens = {make_file_token(*args) for args in [(5, 1, 2), (5, 1, 3), (5, 0, 2), (6, 1, 2)]}
    assert len(tokens) == 4


def test_token_expires_after_file_url_seconds(settings) -> None:
    """C98: a token is valid for FILE_URL_SECONDS."""
    settings.XQUEUE_BRIDGE = {"FILE_URL_SECONDS": 60}
    with time_machine.travel("2026-11-20T08:00:00Z", tick=False) as clock:
        token = make_file_token(5, 1, 2)
        clock.shift(60)
        assert read_file_token(token).submission_id == 5
        clock.shift(1)
        with pytest.raises(signing.BadSignature):
            read_file_token(token)


@pytest.mark.parametrize(
    "token",
    ["", ":", "a:b:c", "\ud800:\ud800:\ud800", signing.dumps([5, 1, 2]), "x" * 10_000],
    ids=["empty", "colon", "three parts", "no text", "another salt", "long"],
)
def test_invalid_token_is_refused(token: str) -> None:
    """C98: a token with a wrong signature is refused."""
    with pytest.raises(signing.BadSignature):
        read_file_token(token)


@given(st.text(st.characters()))
def test_any_text_without_a_signature_is_refused(text: str) -> None:
    """C98: no text is accepted as a token by chance."""
    with pytest.raises(signing.BadSignature):
        read_file_token(text)


def test_changed_token_is_refused(settings) -> None:
    """C98: a token with another submission's payload, or another site's key, is refused."""
    token = make_file_token(5, 1, 2)
    payload, rest = token.split(":", 1)
    other = make_file_token(6, 1, 2).split(":", 1)[0]
    with pytest.raises(signing.BadSignature):
        read_file_token(f"{other}:{rest}")
    settings.SECRET_KEY = "another"
    with pytest.raises(signing.BadSignature):
        read_file_token(f"{payload}:{rest}")
