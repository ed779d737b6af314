"""The transport interface, and the checks that precede every transport."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any, Protocol

from xqueue_bridge.conf import options
from xqueue_bridge.data import UploadedFile, XHeader
from xqueue_bridge.exceptions import InvalidField, LimitExceeded
from xqueue_bridge.protocol.fields import check_text
from xqueue_bridge.xqueue_service import messages

MAX_NAME_CHARACTERS = 255
#: ".py" or ".tar.gz" at the end of a name; a longer one is cut off like any other part.
_EXTENSION = re.compile(r"(?<=.)(\.[^. ]{1,20}){1,2}\Z")
_NAMELESS = "file"


class Transport(Protocol):
    """Send submissions out of the LMS."""

    def send(self, header: XHeader, body: str, files: Sequence[UploadedFile]) -> tuple[int, str]:
        """Send one submission, byte for byte; ``header.text`` is the header.

        Return ``(0, queue length)``, or the queue server's own ``(return code, text)`` if it
        refuses. Raise SendError or InvalidField in every other case; nothing stays stored then.
        """
        ...


def check_body(body: object) -> str:
    """Return the body of a submission, or raise InvalidField with a reason for the learner."""
    limit = options().MAX_BODY_BYTES

    def too_large(size: int) -> InvalidField:
        return LimitExceeded("xqueue_body", messages.fill(messages.ANSWER_TOO_LARGE, size, limit))

    return check_text("xqueue_body", body, limit=limit, too_large=too_large)


def read_files(files: Iterable[object] | None) -> tuple[UploadedFile, ...]:
    """Read a block's files; raise InvalidField if there are too many or one is too large.

    A file object needs only ``name`` and ``read()``. The real block's objects delegate ``read`` to
    an inner file, so HTTP libraries do not recognise them as files. Reading them here, from the
    start, also makes sending twice safe.
    """
    files = list(files or ())
    limits = options()
    if len(files) > limits.MAX_FILES:
        message = messages.fill(messages.TOO_MANY_FILES, len(files), limits.MAX_FILES)
        raise LimitExceeded("files", message)
    return tuple(
        _read(file, number, limits.MAX_FILE_BYTES) for number, file in enumerate(files, start=1)
    )


def plain_name(name: object) -> str:
    """Return a file's base name, without folders and unprintable characters.

    A name of more than 255 characters is shortened before its extension, which graders read.
    """
    last = re.split(r"[/\\]", str(name or ""))[-1]
    printable = "".join(character for character in last if character.isprintable()).strip()
    extension = _EXTENSION.search(printable)
    ending = extension.group() if extension else ""
    stem = printable.removesuffix(ending)[: MAX_NAME_CHARACTERS - len(ending)].rstrip()
    short = stem + ending
    return _NAMELESS if short in ("", ".", "..") else short


def _read(file: object, number: int, limit: int) -> UploadedFile:
    try:
        content = _content(file, limit + 1)
    except Exception:  # a file object of the block, whose error may quote a path
        raise LimitExceeded("files", messages.fill(messages.FILE_NOT_READABLE, number)) from None
    if len(content) > limit:
        raise LimitExceeded("files", messages.fill(messages.FILE_TOO_LARGE, number, limit))
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
