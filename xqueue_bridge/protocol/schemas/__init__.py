"""JSON Schemas (2020-12) of submission and result, and the protocol's OpenAPI description. Pure.

``result-1.json`` says what ``parse_reply`` accepts; a test compares the two on generated values.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from xqueue_bridge.protocol.codes import MEANINGS

_FOLDER = Path(__file__).parent


@cache
def schema(name: str) -> dict[str, Any]:
    """Return the schema "submission-1" or "result-1"; FileNotFoundError for another name."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@cache
def openapi() -> dict[str, object]:
    """Return the OpenAPI 3.1 description of the endpoints, with the two schemas and the codes."""
    document = schema("openapi")
    schemas = {"Submission": schema("submission-1"), "Result": schema("result-1")}
    components = document["components"]
    codes = {
        "type": "string",
        "enum": [str(code) for code, each in MEANINGS.items() if each.is_refusal],
    }
    headers = components["headers"] | {"Code": components["headers"]["Code"] | {"schema": codes}}
    schemas = components["schemas"] | schemas
    return document | {"components": components | {"schemas": schemas, "headers": headers}}
