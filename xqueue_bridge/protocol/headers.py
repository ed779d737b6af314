"""The three forms of xqueue_header, with their limits, and the queue server's response. Pure.

The LMS sends ``{"lms_callback_url", "lms_key", "queue_name"}`` with a submission. A legacy XQueue
server returns that header to the callback URL. A grader returns ``{"submission_id",
"submission_key"}`` with its result.
"""

from __future__ import annotations

import hashlib
import json
import re

from xqueue_bridge.data import LeaseHeader, XHeader
from xqueue_bridge.exceptions import InvalidField, InvalidHeader
from xqueue_bridge.protocol.fields import check_text, is_valid_text, json_object

MAX_HEADER_BYTES = 8192
MAX_URL_CHARS = 8192
MAX_QUEUE_KEY_CHARS = 255
MAX_QUEUE_NAME_CHARS = 128
MAX_SUBMISSION_ID = 2**63 - 1
#: HTTP header of a forwarded submission: the ids of the sites that have forwarded it.
SITES_HEADER = "X-XQueue-Bridge-Sites"
#: Protocol text for a response that is none of the protocol's.
UNEXPECTED_RESPONSE = "unexpected reply from server"

_NUMERIC_ID = re.compile(r"[0-9]{1,19}", re.ASCII)


def make_xheader(lms_callback_url: str, lms_key: str, queue_name: object) -> str:
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


def parse_xheader(text: object) -> XHeader:
    """Parse the header of a submission; InvalidHeader names the member that is missing or wrong."""
    checked = check_text("xqueue_header", text, limit=MAX_HEADER_BYTES, error=InvalidHeader)
    members = json_object(checked, "xqueue_header", error=InvalidHeader)
    return XHeader(
        lms_callback_url=_member(members, "lms_callback_url", MAX_URL_CHARS),
        queue_key=_member(members, "lms_key", MAX_QUEUE_KEY_CHARS),
        queue_name=_member(members, "queue_name", MAX_QUEUE_NAME_CHARS),
        text=checked,
    )


def parse_callback_header(text: str) -> XHeader:
    """Parse the header that an XQueue server returns to the callback URL.

    Only the queue key is required: the request's URL names the learner's block. Raise
    InvalidHeader.
    """
    checked = check_text("xqueue_header", text, limit=MAX_HEADER_BYTES, error=InvalidHeader)
    members = json_object(checked, "xqueue_header", error=InvalidHeader)
    return XHeader(
        lms_callback_url="",
        queue_key=_member(members, "lms_key", MAX_QUEUE_KEY_CHARS, prefix="xqueue_header."),
        queue_name=_member(
            {"queue_name": "", **members},
            "queue_name",
            MAX_QUEUE_NAME_CHARS,
            prefix="xqueue_header.",
            may_be_empty=True,
        ),
        text=checked,
    )


def parse_lease_header(text: str) -> LeaseHeader:
    """Parse the header of a grader's result; raise InvalidField."""
    members = json_object(text, "xqueue_header")
    submission_id = members.get("submission_id")
    # Several clients return the id as text.
    if isinstance(submission_id, str) and _NUMERIC_ID.fullmatch(submission_id):
        submission_id = int(submission_id)
    if type(submission_id) is not int or not 0 <= submission_id <= MAX_SUBMISSION_ID:
        raise InvalidField("xqueue_header.submission_id", "must be the number of a pulled one")
    pullkey = members.get("submission_key")
    if not isinstance(pullkey, str):
        raise InvalidField("xqueue_header.submission_key", "must be the text of the last pull")
    return LeaseHeader(submission_id, pullkey)


def parse_xreply(text: object) -> tuple[int, str]:
    """Parse a queue server's ``{"return_code": int, "content": str or int}``; never raise.

    Return ``(1, UNEXPECTED_RESPONSE)`` for anything else, with the server's own code if that is an
    error code.
    """
    try:
        response = json_object(text, "response")
    except InvalidField:
        return 1, UNEXPECTED_RESPONSE
    return_code, content = response.get("return_code"), response.get("content")
    if type(return_code) is not int:
        return 1, UNEXPECTED_RESPONSE
    if isinstance(content, str):
        return return_code, content
    if type(content) is int:
        return return_code, str(content)
    return return_code or 1, UNEXPECTED_RESPONSE


def _member(
    members: dict[str, object],
    name: str,
    longest: int,
    *,
    prefix: str = "",
    may_be_empty: bool = False,
) -> str:
    field, value = prefix + name, members.get(name)
    # Only a queue name may be a number: legacy servers convert it to text.
    if name == "queue_name" and isinstance(value, int | float):
        value = str(value)
    if name == "queue_name" and isinstance(value, str):
        value = value.strip()
    if value is None:
        raise InvalidHeader(field, "is missing")
    if not isinstance(value, str):
        raise InvalidHeader(field, "is not text")
    if not value and not may_be_empty:
        raise InvalidHeader(field, "is empty")
    if len(value) > longest:
        raise InvalidHeader(field, f"is longer than {longest} characters")
    if not is_valid_text(value):
        raise InvalidHeader(field, "has a character that cannot be stored")
    return value
