"""JSON Schemas (2020-12) of submission and result, and the protocol's OpenAPI description. Pure.

``result-1.json`` says what ``parse_reply`` accepts; a test compares the two on generated values.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


@cache
def schema(name: str) -> dict[str, Any]:
    """Return the schema "submission-1" or "result-1"; FileNotFoundError for another name."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@cache
def openapi() -> dict[str, object]:
    """Return the OpenAPI 3.1 description of the graders' endpoints, the two schemas included."""
    document = schema("openapi")
    schemas = {"Submission": schema("submission-1"), "Result": schema("result-1")}
    components = document["components"]
    return document | {"components": components | {"schemas": components["schemas"] | schemas}}
