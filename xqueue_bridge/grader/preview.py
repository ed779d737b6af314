"""Show a result as the learner and staff will see it, and what the server will change."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xqueue_bridge.grader.results import escape

_TAG = re.compile(r"<\s*/?\s*([a-zA-Z][a-zA-Z0-9]*)")
_ATTRIBUTE = re.compile(r"\s([a-zA-Z-]+)\s*=")


class PreviewUnavailable(RuntimeError):
    """A package that the server uses is not installed here; the message names the extra."""


@dataclass(frozen=True)
class Preview:
    """What the server will keep of a reply.

    ``problem`` names the field for which the server would refuse the reply; else it is "".
    ``removed`` names each kind of markup that the server will take out of ``msg``.
    """

    reply: Mapping[str, Any]
    feedback: str = ""
    removed: tuple[str, ...] = ()
    problem: str = ""


def preview(reply: Mapping[str, object]) -> Preview:
    """Check a reply as the bridge's server does. PreviewUnavailable without nh3."""
    try:
        from xqueue_bridge.exceptions import InvalidReply
        from xqueue_bridge.grader_replies.parsing import parse_reply
    except ImportError as exc:
        raise PreviewUnavailable(
            f"{exc.name} is not installed: pip install 'xqueue-bridge[grader-preview]'"
        ) from None
    try:
        parsed = parse_reply(json.dumps(reply), graded=True)
    except (InvalidReply, ValueError) as exc:
        return Preview(reply, problem=str(exc))
    feedback = parsed.msg
    return Preview(reply, feedback, tuple(_removed(str(reply.get("msg", "")), feedback)))


def _removed(before: str, after: str) -> list[str]:
    """Name the tags and attributes that are in ``before`` more often than in ``after``."""
    found = []
    for kind, pattern in (("tag", _TAG), ("attribute", _ATTRIBUTE)):
        former = [name.lower() for name in pattern.findall(before)]
        latter = [name.lower() for name in pattern.findall(after)]
        for name in dict.fromkeys(former):
            if latter.count(name) < former.count(name):
                found.append(f"{kind} {name}")
    return found


def as_text(shown: Preview) -> str:
    """Return the preview for a terminal."""
    if shown.problem:
        return f"The server would refuse this reply: {shown.problem}"
    reply = shown.reply
    lines = [
        f"correct    {reply.get('correct')}",
        f"score      {reply.get('score')} of {reply.get('max_score', '?')}",
    ]
    for test in reply.get("tests", ()):
        mark = "" if test["visible"] else "   (hidden from the learner)"
        lines.append(f"test       {test['name']}: {test['score']:g} of {test['max_score']:g}{mark}")
    if reply.get("staff_note"):
        lines.append(f"for staff  {reply['staff_note']}")
    lines.append("learner    " + " ".join(re.sub(r"<[^>]+>", " ", shown.feedback).split()))
    lines += [f"removed    {name}" for name in shown.removed]
    return "\n".join(lines)


def as_page(shown: Preview) -> str:
    """Return the preview as an HTML page of its own."""
    body = (
        f"<p>The server would refuse this reply: {escape(shown.problem)}</p>"
        if shown.problem
        else shown.feedback
    )
    removed = "".join(f"<li>{escape(name)}</li>" for name in shown.removed)
    note = f"<h2>Removed by the server</h2><ul>{removed}</ul>" if removed else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Result preview</title>'
        "<style>body{font:1rem/1.5 system-ui;max-width:50rem;margin:2rem auto}"
        "table{border-collapse:collapse}td,th{border:1px solid #888;padding:.3rem .6rem;"
        "text-align:left}</style>"
        f"<h1>As the learner sees it</h1>{body}{note}<h2>The reply</h2>"
        f"<pre>{escape(json.dumps(dict(shown.reply), indent=2))}</pre></html>"
    )
