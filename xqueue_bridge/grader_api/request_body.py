"""Reading of a request's body as real clients and proxies send it, within a size limit."""

from __future__ import annotations

import codecs
import zlib
from contextlib import suppress
from io import BytesIO

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError
from django.http.request import RawPostDataException

from xqueue_bridge.exceptions import InvalidField

#: Window bits with which zlib recognises the gzip and the zlib format by their headers.
_ANY_FORMAT = zlib.MAX_WBITS | 32
_GZIP_NAMES = frozenset({"gzip", "x-gzip", "deflate"})
_PLAIN = frozenset({"", "identity"})
#: Digits of a Content-Length; Python refuses to read very long numbers.
_MAX_DIGITS = 18
#: Byte order marks of a text whose media type need not name its charset.
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TEXT_TYPES = frozenset({"application/json", "application/x-www-form-urlencoded"})


class BodyTooLarge(RequestDataTooBig):
    """A body of more than ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


def prepare_body(request: HttpRequest, at_least: int = 0) -> None:
    """Read the body into memory, as Django's and DRF's parsers expect it.

    Those read nothing from a chunked body, which has no Content-Length, do not know
    Content-Encoding, and refuse a byte order mark. Raise RequestDataTooBig above
    DATA_UPLOAD_MAX_MEMORY_SIZE bytes, or ``at_least`` if that is more, before or after
    decompression, UnreadablePostError if the client disconnects, and InvalidField with the reason
    for any other body. A multipart form that the host's middleware has read stays as it is.
    """
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    limit = None if limit is None else max(limit, at_least)
    try:
        body = _read(request, limit)
    except RawPostDataException:
        return  # middleware has read a multipart form, and Django has kept its fields
    raw = body
    if not body and request.method == "POST" and _is_chunked(request):
        body = _read_chunked(request, limit)
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if body and encoding not in _PLAIN:
        body = _decompress(body, encoding, limit)
    if media_type(request) in _TEXT_TYPES:
        body = body.removeprefix(codecs.BOM_UTF8)
    if body.startswith(_UTF16) and "charset" not in (request.content_params or {}):
        with suppress(UnicodeDecodeError):  # else its parser refuses it
            body = body.decode("utf-16").encode()
    if body is not raw:
        _replace_body(request, body)
    elif body:
        # ASGI servers pass on a chunked body without its length, which DRF asks for.
        request.META["CONTENT_LENGTH"] = str(len(body))


def can_be_streamed(request: HttpRequest) -> bool:
    """Return whether Django's parser can read the body from the server, without prepare_body."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    return bool(request.META.get("CONTENT_LENGTH")) and encoding in _PLAIN


def media_type(request: HttpRequest) -> str:
    """Return the media type of the request, without parameters and in lower case."""
    return (request.content_type or "").partition(";")[0].strip().lower()


def content_length(request: HttpRequest) -> int:
    """Return the bytes that a request announces, 0 if it does not; raise InvalidField.

    Some servers pass on any text, for which Django's own reading of the body raises ValueError.
    """
    text = str(request.META.get("CONTENT_LENGTH") or 0)
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise InvalidField("Content-Length", "must be a number of bytes")
    return int(text)


def _read(request: HttpRequest, limit: int | None) -> bytes:
    """Return the body; above its own limit Django reads none."""
    size = content_length(request)
    djangos_limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if limit is None or size <= djangos_limit or hasattr(request, "_body"):
        return request.body
    if size > limit:
        raise BodyTooLarge(limit)
    request._body = request.read(size)
    request._stream = BytesIO(request._body)
    return request._body


def _is_chunked(request: HttpRequest) -> bool:
    return bool(request.headers.get("Transfer-Encoding")) and not request.META.get("CONTENT_LENGTH")


def _read_chunked(request: HttpRequest, limit: int | None) -> bytes:
    environ = request.META
    if not environ.get("wsgi.input_terminated"):
        # The server would wait for more bytes after the last one.
        raise InvalidField("body", "has no Content-Length, and this server reads no chunked body")
    try:
        body = environ["wsgi.input"].read(-1 if limit is None else limit + 1)
    except OSError as exc:
        raise UnreadablePostError(type(exc).__name__) from None
    return _bounded(body, limit)


def _decompress(body: bytes, encoding: str, limit: int | None) -> bytes:
    if encoding not in _GZIP_NAMES:
        raise InvalidField("Content-Encoding", "must be gzip, deflate, or left out")
    for window_bits in (_ANY_FORMAT, -zlib.MAX_WBITS):  # some clients leave out zlib's header
        reader = zlib.decompressobj(window_bits)
        try:
            plain = reader.decompress(body, 0 if limit is None else limit + 1)
        except zlib.error:
            continue
        plain = _bounded(plain, limit)
        if reader.unused_data:
            raise InvalidField("body", "goes on after its Content-Encoding has ended")
        if not reader.eof:
            raise InvalidField("body", "ends before its Content-Encoding does")
        return plain
    raise InvalidField("body", "is not in the Content-Encoding of the request")


def _bounded(body: bytes, limit: int | None) -> bytes:
    if limit is not None and len(body) > limit:
        raise BodyTooLarge(limit)
    return body


def _replace_body(request: HttpRequest, body: bytes) -> None:
    """Let Django parse ``body`` instead of the bytes that it has read."""
    request.META["CONTENT_LENGTH"] = str(len(body))
    request.META.pop("HTTP_CONTENT_ENCODING", None)
    request.META.pop("HTTP_TRANSFER_ENCODING", None)
    request.__dict__.pop("headers", None)
    request._body = body
    request._stream = BytesIO(body)
    # A middleware that has read the form found an empty or a compressed one.
    for name in ("_post", "_files"):
        request.__dict__.pop(name, None)
