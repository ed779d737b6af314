"""The transport interface, and the checks that precede every transport."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any, Protocol

from xqueue_bridge.conf import options
from xqueue_bridge.data import UploadedFile
from xqueue_bridge.exceptions import InvalidField

_LONGEST_NAME = 255
_NAMELESS = "file"


class Transport(Protocol):
    """Send submissions out of the LMS."""

    def send(self, header: str, body: str, files: Sequence[UploadedFile]) -> tuple[int, str]:
        """Send one submission, byte for byte.

        Return ``(0, queue length)``, or the queue server's own ``(return code, text)`` if it
        refuses. Raise SendError or InvalidField in every other case; nothing stays stored then.
        """
        ...


def check_text(field: str, text: object, *, limit: int) -> None:
    """Raise InvalidField unless every transport can carry the text unchanged.

    JSON text never contains a raw NUL or an unpaired surrogate. Some databases cannot store these
    characters, and an unpaired surrogate cannot be encoded as UTF-8.
    """
    if not isinstance(text, str):
        raise InvalidField(field, "is not text")
    if "\0" in text:
        raise InvalidField(field, "contains a NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidField(field, "is not valid Unicode") from None
    if size > limit:
        raise InvalidField(field, f"your answer is larger than {limit:,} bytes")


def read_files(files: Iterable[Any] | None) -> tuple[UploadedFile, ...]:
    """Read a block's files; raise InvalidField if there are too many or one is too large.

    A file object needs only ``name`` and ``read()``. The real block's objects delegate ``read`` to
    an inner file, so HTTP libraries do not recognise them as files. Reading them here, from the
    start, also makes sending twice safe.
    """
    files = list(files or ())
    limits = options()
    if len(files) > limits.MAX_FILES:
        raise InvalidField("files", f"there are more than {limits.MAX_FILES} files")
    return tuple(
        _read(file, number, limits.MAX_FILE_BYTES) for number, file in enumerate(files, start=1)
    )


def plain_name(name: object) -> str:
    """Return a file's base name, without folders and unprintable characters."""
    last = re.split(r"[/\\]", str(name or ""))[-1]
    printable = "".join(character for character in last if character.isprintable())
    short = printable.strip()[:_LONGEST_NAME].rstrip()
    return _NAMELESS if short in ("", ".", "..") else short


def _read(file: Any, number: int, limit: int) -> UploadedFile:
    content = _content(file, limit + 1)
    if len(content) > limit:
        raise InvalidField("files", f"file {number} is larger than {limit:,} bytes")
    return UploadedFile(plain_name(getattr(file, "name", None)), BytesIO(content), len(content))


def _content(file: Any, at_most: int) -> bytes:
    seek = getattr(file, "seek", None)
    if seek is not None:
        seek(0)
    try:
        content = file.read(at_most)
    except TypeError:  # ``read`` takes no size
        content = file.read()
    return content.encode() if isinstance(content, str) else content
