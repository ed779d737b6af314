"""The warnings of an accepted result, and the response headers for graders. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from xqueue_bridge.protocol.codes import MEANINGS, Code
from xqueue_bridge.protocol.fields import read_json

#: Response header with the code of a refused request.
CODE_HEADER = "X-XQueue-Code"
#: Response header with what was changed in an accepted result: a JSON list of objects with
#: ``code``, ``field`` and ``data``.
WARNINGS_HEADER = "X-XQueue-Warnings"
#: Response header of a pulled submission: the version of the result that the server reads.
RESULT_HEADER = "X-XQueue-Result-Version"
RESULT_VERSION = "1"
#: Response header of a pulled submission: the highest score that counts, a number.
MAX_SCORE_HEADER = "X-XQueue-Max-Score"
#: Response header of a login: the URL with which the links to learners' files begin.
FILES_HEADER = "X-XQueue-Files"
#: Header of a response to get_submission that a server with long-polling has held.
HELD_HEADER = "X-XQueue-Held"
#: Request header of get_submission: seconds for which the grader waits without a byte.
HOLD_HEADER = "X-XQueue-Hold"
#: Text of the response to a file link that is false or has expired, with status 404.
NO_FILE = "There is no such file now.\n"

#: Longest warnings header; clients and proxies limit header lines to 8 KB or less.
_MAX_HEADER = 4000
_CODES = frozenset(map(str, Code))


@dataclass(frozen=True, slots=True)
class ReplyWarning:
    """Something that the bridge changed in an accepted result, or noticed in it.

    ``data`` has numbers, and names of elements and members; nothing of a learner's answer.
    """

    code: Code
    field: str
    data: Mapping[str, Any] = dataclass_field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the JSON object that is stored beside the reply and sent in the header."""
        return {"code": str(self.code), "field": self.field, "data": dict(self.data)}

    def __str__(self) -> str:
        details = f" {json.dumps(dict(self.data))}" if self.data else ""
        return f"{self.code}: {MEANINGS[self.code].text}{details}"


def warnings_header(warnings: Sequence[ReplyWarning]) -> str:
    """Return the value of the warnings header; without data if it would be too long."""
    for has_data in (True, False):
        entries = [each.as_json() | ({} if has_data else {"data": {}}) for each in warnings]
        text = json.dumps(entries)
        if len(text) <= _MAX_HEADER:
            return text
    return json.dumps([{"code": str(each.code)} for each in warnings[:40]])


def read_warnings(text: str) -> list[ReplyWarning]:
    """Return the warnings of a header; those with a code of a newer server are left out."""
    try:
        entries = read_json(text or "[]")
        return [
            ReplyWarning(Code(each["code"]), str(each.get("field", "")), each.get("data") or {})
            for each in entries
            if each.get("code") in _CODES
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
