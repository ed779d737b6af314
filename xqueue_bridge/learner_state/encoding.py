"""Encode a block's fields as JSON text and decode them; pure.

capa keeps scores as namedtuples. The standard JSON encoder writes them as lists, which the block
cannot load; this module writes them as objects, as upstream's client does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def encode(fields: Mapping[str, Any]) -> str:
    """Return ``fields`` as JSON text.

    Raises TypeError or ValueError, which name the field, if JSON cannot represent them.
    """
    if not isinstance(fields, Mapping):
        raise TypeError(f"fields are a mapping from name to value, not {type(fields).__name__}")
    try:
        return _text(fields)
    except (TypeError, ValueError, RecursionError) as exc:
        kind = TypeError if isinstance(exc, TypeError) else ValueError
        raise kind(f"{_culprit(fields)} cannot be stored as JSON: {exc}") from exc


def overlaid(old: str | None, fresh: str) -> str:
    """Return a stored state merged with the fields of another, which take precedence."""
    below = decode(old)
    # Decoded JSON contains no namedtuples, so it is encoded without a search for them.
    return json.dumps(below | decode(fresh)) if below else fresh


def decode(state: str | None) -> dict[str, Any]:
    """Return the fields of a stored state; {} if there is none."""
    return json.loads(state) if state else {}


def _text(fields: Mapping[str, Any]) -> str:
    return json.dumps(_plain(fields), allow_nan=False)


def _culprit(fields: Mapping[str, Any]) -> str:
    for name, value in fields.items():
        try:
            _text({name: value})
        except (TypeError, ValueError, RecursionError):
            return f"field {name!r}"
    return "the fields"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value
