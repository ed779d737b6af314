"""Parsing and writing of the xqueue_header and the queue server's reply as JSON. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from xqueue_bridge.data import XHeader
from xqueue_bridge.exceptions import InvalidHeader
from xqueue_bridge.protocol.fields import is_valid_text, json_object, without_bom
from xqueue_bridge.xqueue_service.messages import ODD_REPLY

MAX_HEADER_CHARS = 8192
MAX_QUEUE_KEY_CHARS = 255
MAX_QUEUE_NAME_CHARS = 128


def make_xheader(lms_callback_url: str, lms_key: str, queue_name: str) -> str:
    """Return the header of a submission as JSON text."""
    return json.dumps(
        {"lms_callback_url": lms_callback_url, "lms_key": lms_key, "queue_name": queue_name}
    )


def make_hashkey(seed: object) -> str:
    """Return a key of 32 hexadecimal digits, the same for the same seed.

    Latin-1 text gives the same key as the platform's function, so that keys made by both match.
    Other text, which the platform's function rejects, gets a key as well.
    """
    text = str(seed)
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogatepass")
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()


def parse_xheader(text: str) -> XHeader:
    """Parse a header; InvalidHeader names the member that is missing or wrong."""
    if isinstance(text, str) and len(text) > MAX_HEADER_CHARS:
        raise InvalidHeader("xqueue_header", f"is longer than {MAX_HEADER_CHARS} characters")
    members = json_object(text, "xqueue_header", error=InvalidHeader)
    return XHeader(
        lms_callback_url=_member(members, "lms_callback_url", MAX_HEADER_CHARS),
        queue_key=_member(members, "lms_key", MAX_QUEUE_KEY_CHARS),
        queue_name=_member(members, "queue_name", MAX_QUEUE_NAME_CHARS),
    )


def parse_xreply(text: str) -> tuple[int, str]:
    """Parse a queue server's ``{"return_code": int, "content": str or int}``; never raise.

    Return ``(1, "unexpected reply from server")`` for anything else, with the server's own code
    if that is an error code.
    """
    try:
        reply = json.loads(without_bom(text))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return 1, ODD_REPLY
    if not isinstance(reply, dict) or type(reply.get("return_code")) is not int:
        return 1, ODD_REPLY
    return_code, content = reply["return_code"], reply.get("content")
    if isinstance(content, str):
        return return_code, content
    if type(content) is int:
        return return_code, str(content)
    return return_code or 1, ODD_REPLY


def _member(members: dict[str, Any], name: str, longest: int) -> str:
    value = members.get(name)
    # Only a queue name may be a number: legacy servers convert it to text.
    if name == "queue_name" and isinstance(value, int | float):
        value = str(value)
    if value is None:
        raise InvalidHeader(name, "is missing")
    if not isinstance(value, str):
        raise InvalidHeader(name, "is not text")
    if not value:
        raise InvalidHeader(name, "is empty")
    if len(value) > longest:
        raise InvalidHeader(name, f"is longer than {longest} characters")
    if not is_valid_text(value):
        raise InvalidHeader(name, "has a character that cannot be stored")
    return value
