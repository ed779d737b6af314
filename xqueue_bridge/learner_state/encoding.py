"""Encode a block's fields as JSON text and decode them; pure.

capa keeps scores as namedtuples. The standard JSON encoder writes them as lists, which the block
cannot load; this module writes them as objects, as upstream's client does. Writing is strict.
Reading is tolerant, because a migrated state may hold what other programs wrote.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import TypeAlias

#: A block's fields: name -> JSON value.
Fields: TypeAlias = dict[str, object]


def encode(fields: Mapping[str, object]) -> str:
    """Return ``fields`` as JSON text.

    Raises TypeError or ValueError, which name the field, if JSON cannot represent them.
    """
    if not isinstance(fields, Mapping):
        raise TypeError(f"fields are a mapping from name to value, not {type(fields).__name__}")
    try:
        return json.dumps(_plain(fields), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        kind = TypeError if isinstance(exc, TypeError) else ValueError
        raise kind(f"{_culprit(fields)} cannot be stored as JSON: {exc}") from exc


def merge_texts(old: Mapping[str, object], new: str) -> str:
    """Return the text of decoded fields merged with those of an encoded state, which win."""
    # Decoded JSON contains no namedtuples, so it is encoded without a search for them.
    return json.dumps({**old, **decode(new)}, allow_nan=False)


def decode(state: str | None) -> Fields:
    """Return the fields of a stored state; {} if there is none, or if it is no JSON object."""
    return (read_object(state) or {}) if state else {}


def read_object(text: str) -> Fields | None:
    """Return the JSON object that a text holds; None if it holds none."""
    try:
        found = read_value(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def read_value(text: str) -> object:
    """Return the JSON value that a text holds. Raises ValueError if it is not JSON.

    Numbers that JSON does not have, or that no float can hold, are None. A byte order mark, and
    control characters in texts, are accepted.
    """
    try:
        return _decoder.decode(text.lstrip("\ufeff"))
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def has_non_finite(text: str) -> bool:
    """Return whether an object's text has a number that is not finite."""
    found: list[str] = []
    json.JSONDecoder(parse_constant=found.append, parse_int=_finite_int, strict=False).decode(
        text.lstrip("\ufeff")
    )
    return bool(found)


def _no_constant(name: str) -> None:
    """Return None for NaN, Infinity and -Infinity."""


def _finite_float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _finite_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= sys.float_info.max_10_exp else None


_decoder = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite_float, parse_int=_finite_int, strict=False
)


def _culprit(fields: Mapping[str, object]) -> str:
    for name, value in fields.items():
        try:
            json.dumps(_plain({name: value}), allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            return f"field {name!r}"
    return "the fields"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value
