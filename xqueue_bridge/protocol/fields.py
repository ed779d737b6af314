"""Validation of untrusted form and JSON fields. Pure."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.protocol.codes import Code

#: Maximum of characters in a name.
MAX_NAME = 128
#: What programs write around JSON: byte order marks, white space, and the end of a C string.
_AROUND_JSON = "\ufeff\0 \t\r\n"


def text_field(fields: object, name: str) -> str:
    """Return a required text field of a parsed form or JSON body."""
    value = fields.get(name) if isinstance(fields, Mapping) else None
    if value is None:
        raise InvalidField(name, "is missing", Code.FIELD_MISSING)
    if not isinstance(value, str):
        raise InvalidField(name, "must be text", Code.NOT_TEXT)
    return value


def read_json(text: str | bytes) -> Any:
    """Return the value of a JSON text, of which byte order marks around it are no part.

    Control characters in texts are accepted: shell scripts write line ends as they are. Raises
    ValueError also if it is nested too deep, or has a whole number with too many digits.
    """
    try:
        return json.loads(text.strip(_AROUND_JSON) if isinstance(text, str) else text, strict=False)
    except RecursionError:
        raise ValueError("nested too deep") from None


def is_finite(number: float) -> bool:
    """Return whether a float holds the number; not so NaN, infinity, and whole numbers beyond."""
    return abs(number) <= sys.float_info.max


def json_object(
    text: object, field: str, *, error: type[InvalidField] = InvalidField
) -> dict[str, object]:
    """Return the JSON object in a text field; raise ``error`` with the field's name."""
    if not isinstance(text, str):
        raise error(field, "must be text", Code.NOT_TEXT)
    try:
        value = read_json(text)
    except ValueError:
        # "from None", because the decoder's exception carries the whole text.
        raise error(field, "must be JSON", Code.NOT_JSON) from None
    if not isinstance(value, dict):
        raise error(field, "must be a JSON object", Code.NOT_AN_OBJECT)
    return value


def check_text(
    field: str,
    text: object,
    *,
    limit: int,
    error: type[InvalidField] = InvalidField,
    too_large: Callable[[int], InvalidField] | None = None,
) -> str:
    """Return ``text`` if every transport and database carries it unchanged, else raise ``error``.

    ``limit`` is in bytes of UTF-8. ``too_large(size)`` returns the exception for a longer text.
    JSON text never contains a raw NUL or an unpaired surrogate. Some databases cannot store these
    characters, and an unpaired surrogate cannot be encoded as UTF-8.
    """
    if not isinstance(text, str):
        raise error(field, "is not text")
    if "\0" in text:
        raise error(field, "contains a NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise error(field, "is not valid Unicode") from None
    if size > limit:
        raise too_large(size) if too_large else error(field, f"is larger than {limit:,} bytes")
    return text


def check_name(text: object, field: str) -> str:
    """Return the name of a queue or grader account without the white space around it.

    Raise InvalidField if it is not a text of 1 to ``MAX_NAME`` printable characters.
    """
    if not isinstance(text, str):
        raise InvalidField(field, "must be text")
    name = text.strip()
    if not name:
        raise InvalidField(field, "is empty")
    if len(name) > MAX_NAME:
        raise InvalidField(field, f"is longer than {MAX_NAME} characters")
    if not (is_valid_text(name) and name.isprintable()):
        raise InvalidField(field, "has a character that a name cannot have")
    return name


def is_valid_text(text: str) -> bool:
    """Return whether every database stores this text: no NUL and no unpaired surrogate."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
