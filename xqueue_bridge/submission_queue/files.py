"""Private storage of uploaded files, and signed tokens for their download."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from itertools import count
from pathlib import PurePosixPath

from django.core import signing
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.utils import timezone

from xqueue_bridge.conf import options
from xqueue_bridge.data import StoredFile, UploadedFile

log = logging.getLogger(__name__)

#: A longer name is shortened before its number and extension.
MAX_NAME_CHARACTERS = 255

_DATE = "%Y/%m/%d"
_SALT = "xqueue_bridge.submission_queue.files"


@dataclass(frozen=True, slots=True)
class FileToken:
    """Content of a download token: one file of one delivery of one submission."""

    submission_id: int
    #: Index in ``SubmissionContent.files``.
    index: int
    #: ``Submission.deliveries`` when the token was made; each pull creates new tokens.
    delivery: int


def new_folder() -> str:
    """Return the folder of a new submission's files: the date and a random number."""
    return f"{timezone.now():{_DATE}}/{secrets.token_hex(16)}"


def store_file(upload: UploadedFile, folder: str | None = None) -> StoredFile:
    """Store one uploaded file completely in the private storage, or raise.

    Its storage name is random, so neither learner nor author can influence the path. Raise whatever
    the storage raises.
    """
    storage = _storage()
    name = f"{folder or new_folder()}/{secrets.token_hex(4)}"
    try:
        storage_name = storage.save(name, File(upload.content))
    except BaseException:
        _delete(storage, name)
        raise
    return StoredFile(upload.name, storage_name, upload.size)


def open_file(stored: StoredFile) -> File:
    """Open a stored file for reading; raise FileNotFoundError if missing. The caller closes it."""
    return _storage().open(stored.storage_name, "rb")


def delete_files(stored: Iterable[StoredFile]) -> list[StoredFile]:
    """Delete files from storage; return those that failed. A missing file counts as deleted."""
    return [file for file in stored if not _delete(_storage(), file.storage_name)]


def delete_with_folder(stored: Iterable[StoredFile], folder: str) -> list[StoredFile]:
    """Delete files, then their folder; return those that could not be deleted."""
    left = delete_files(stored)
    if folder and not left:
        _delete(_storage(), folder)
    return left


def folders_of(day: date) -> list[str]:
    """Return the folders of that day's submissions; [] if there are none."""
    parent = f"{day:{_DATE}}"
    return [f"{parent}/{name}" for name in _list(parent)[0]]


def delete_folder(folder: str) -> bool:
    """Delete a folder with its files; return whether all of it is gone."""
    left = [name for name in _list(folder)[1] if not _delete(_storage(), f"{folder}/{name}")]
    # Storages without real folders have nothing to delete at the end.
    return not left and _delete(_storage(), folder)


def display_names(files: Sequence[StoredFile]) -> list[str]:
    """Return a distinct name for each file, in order; a number is added to a duplicate name.

    >>> display_names([StoredFile("a.py", "x", 1), StoredFile("a.py", "y", 1)])
    ['a.py', 'a-2.py']
    """
    taken = {file.name for file in files}
    seen: set[str] = set()
    names = []
    for file in files:
        name = _free_name(file.name, taken) if file.name in seen else file.name
        seen.add(file.name)
        taken.add(name)
        names.append(name)
    return names


def make_file_token(submission_id: int, index: int, delivery: int) -> str:
    """Return a URL-safe token for one download, valid for ``FILE_URL_SECONDS``."""
    return signing.dumps(astuple(FileToken(submission_id, index, delivery)), salt=_SALT)


def read_file_token(token: str) -> FileToken:
    """Return the content of a token; raise ``signing.BadSignature`` if it is invalid or expired."""
    try:
        return FileToken(*signing.loads(token, salt=_SALT, max_age=options().FILE_URL_SECONDS))
    except ValueError:  # text that cannot be encoded
        raise signing.BadSignature("not a file token") from None


def _list(folder: str) -> tuple[list[str], list[str]]:
    try:
        return _storage().listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return [], []


def _storage() -> Storage:
    return storages[options().FILES_STORAGE_ALIAS]


def _delete(storage: Storage, name: str) -> bool:
    try:
        storage.delete(name)
    except FileNotFoundError:
        return True
    except Exception as exc:  # storages raise exceptions of many libraries
        alias, kind = options().FILES_STORAGE_ALIAS, type(exc).__name__
        log.warning("%s could not be removed from STORAGES[%r]: %s", name, alias, kind)
        return False
    return True


def _free_name(name: str, taken: set[str]) -> str:
    path = PurePosixPath(name)
    for number in count(2):
        suffix = f"-{number}{path.suffix}"
        candidate = path.stem[: MAX_NAME_CHARACTERS - len(suffix)] + suffix
        if candidate not in taken:
            break
    return candidate
