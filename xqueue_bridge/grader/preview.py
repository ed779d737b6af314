"""Show a result as the learner and staff will see it, and what the server will change."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from xqueue_bridge.data import GradedTest
from xqueue_bridge.exceptions import InvalidReply
from xqueue_bridge.grader.results import escape
from xqueue_bridge.grader_replies.graded_tests import TableTexts, table_of
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.protocol.codes import MEANINGS
from xqueue_bridge.protocol.reply_warnings import ReplyWarning

#: The server's own default of MAX_REPLY_BYTES.
MAX_FEEDBACK_BYTES = 1_048_576
WITHOUT_NH3 = (
    "nh3 is not installed, so msg is shown as it is, and not what the server removes from it: "
    "pip install 'xqueue-bridge[grader-preview]'"
)


@dataclass(frozen=True)
class Preview:
    """What the server will keep of a reply.

    ``problem`` names the field for which the server would refuse the reply; else it is "".
    ``feedback`` is sanitised if ``is_sanitised``, with the table of the visible tests.
    """

    reply: Mapping[str, object]
    feedback: str = ""
    tests: tuple[GradedTest, ...] = ()
    staff_note: str = ""
    warnings: tuple[ReplyWarning, ...] = ()
    problem: str = ""
    is_sanitised: bool = True


def preview(reply: Mapping[str, object]) -> Preview:
    """Check a reply with the server's own code; without nh3 ``msg`` is not sanitised."""
    try:
        import nh3  # noqa: F401
    except ImportError:
        has_nh3 = False
    else:
        has_nh3 = True
    try:
        parsed = parse_reply(
            json.dumps(reply),
            max_feedback_bytes=MAX_FEEDBACK_BYTES,
            clean=None if has_nh3 else str,
        )
    except InvalidReply as exc:
        return Preview(reply, problem=f"{exc} ({exc.code})")
    except (TypeError, ValueError) as exc:
        return Preview(reply, problem=f"xqueue_body: cannot be written as JSON: {exc}")
    return Preview(
        reply,
        feedback=parsed.msg + table_of(parsed.tests, TableTexts()),
        tests=parsed.tests,
        staff_note=parsed.staff_note,
        warnings=parsed.warnings,
        is_sanitised=has_nh3,
    )


def as_text(shown: Preview) -> str:
    """Return the preview for a terminal."""
    if shown.problem:
        return f"The server would refuse this reply: {shown.problem}"
    reply = shown.reply
    lines = [
        f"correct    {reply.get('correct')}",
        f"score      {reply.get('score')} of {reply.get('max_score', '?')}",
    ]
    for test in shown.tests:
        mark = "" if test.visible else "   (hidden from the learner)"
        lines.append(f"test       {test.name}: {test.score:g} of {test.max_score:g}{mark}")
    if shown.staff_note:
        lines.append(f"for staff  {shown.staff_note}")
    lines.append("learner    " + " ".join(re.sub(r"<[^>]+>", " ", shown.feedback).split()))
    for each in shown.warnings:
        lines += [f"warning    {each}", f"  change   {MEANINGS[each.code].advice}"]
    if not shown.is_sanitised:
        lines.append(f"note       {WITHOUT_NH3}")
    return "\n".join(lines)


def as_page(shown: Preview) -> str:
    """Return the preview as an HTML page of its own."""
    body = (
        f"<p>The server would refuse this reply: {escape(shown.problem)}</p>"
        if shown.problem
        else shown.feedback
    )
    items = "".join(
        f"<li>{escape(str(each))} <em>{escape(MEANINGS[each.code].advice)}</em></li>"
        for each in shown.warnings
    )
    changes = f"<h2>Changed by the server</h2><ul>{items}</ul>" if items else ""
    note = "" if shown.is_sanitised else f"<p>{escape(WITHOUT_NH3)}</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Result preview</title>'
        "<style>body{font:1rem/1.5 system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{border:1px solid #888;padding:.3rem .6rem;"
        "text-align:left;vertical-align:top}pre{white-space:pre-wrap;margin:0}</style>"
        f"<h1>As the learner sees it</h1>{body}{note}{changes}{_for_staff(shown)}"
        f"<h2>The reply</h2><pre>{escape(json.dumps(dict(shown.reply), indent=2))}</pre></html>"
    )


def _for_staff(shown: Preview) -> str:
    hidden = [test for test in shown.tests if not test.visible]
    if not hidden and not shown.staff_note:
        return ""
    rows = "".join(
        f"<li>{escape(test.name)}: {test.score:g} of {test.max_score:g} {escape(test.message)}</li>"
        for test in hidden
    )
    tests = f"<h3>Hidden tests</h3><ul>{rows}</ul>" if rows else ""
    return f"<h2>For staff only</h2><p>{escape(shown.staff_note)}</p>{tests}"
