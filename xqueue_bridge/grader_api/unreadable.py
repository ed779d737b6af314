"""Requests whose body cannot be read: the exceptions, and what the client is told about each."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import (
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import UnreadablePostError
from rest_framework import exceptions

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.protocol.codes import Code

#: Not JSON, not a form, an unsupported media type, too large, too deep, or truncated.
UNREADABLE = (
    exceptions.APIException,
    SuspiciousOperation,
    RecursionError,
    UnreadablePostError,
)


def field_at_fault(exc: Exception) -> InvalidField:
    """Return the field, the reason and the code of an exception of ``UNREADABLE``."""
    if isinstance(exc, RequestDataTooBig):
        limit = getattr(exc, "limit", settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        return InvalidField("body", f"is larger than {limit:,} bytes", Code.BODY_TOO_LARGE)
    if isinstance(exc, TooManyFieldsSent | TooManyFilesSent):
        return InvalidField("body", "has too many fields", Code.TOO_MANY_FIELDS)
    if isinstance(exc, exceptions.UnsupportedMediaType):
        reason = "must be a form or application/json"
        return InvalidField("Content-Type", reason, Code.MEDIA_TYPE_UNKNOWN)
    if isinstance(exc, RecursionError):
        return InvalidField("body", "is nested too deep", Code.NESTED_TOO_DEEP)
    if isinstance(exc, UnreadablePostError):
        return InvalidField("body", "ended before it was complete", Code.BODY_INCOMPLETE)
    return InvalidField("body", "is not what its Content-Type says", Code.BODY_UNREADABLE)
