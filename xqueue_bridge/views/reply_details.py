"""What staff see of a reply besides its feedback: every test, hidden ones too, and the codes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from xqueue_bridge.protocol.codes import MEANINGS, Code


def tests_for_staff(tests: Sequence[Mapping[str, Any]]) -> SafeString | str:
    """Return the table of all stored tests; "" without tests."""
    if not tests:
        return ""
    rows = format_html_join(
        "",
        '<tr><th scope="row" style="overflow-wrap:anywhere">{}</th>'
        "<td>{} / {}</td><td>{}</td><td><pre>{}</pre></td></tr>",
        (
            (
                test["name"],
                f"{test['score']:g}",
                f"{test['max_score']:g}",
                _("yes") if test["visible"] else _("no"),
                test["message"],
            )
            for test in tests
        ),
    )
    heads = format_html_join(
        "",
        '<th scope="col">{}</th>',
        ((head,) for head in (_("Test"), _("Points"), _("Learners see it"), _("Message"))),
    )
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", heads, rows)


def codes_for_staff(codes: Sequence[Mapping[str, Any]]) -> SafeString | str:
    """Return a list of what was changed in a reply, or why it is invalid; "" if nothing."""
    if not codes:
        return ""
    items = format_html_join(
        "",
        "<li><code>{}</code> {} {}</li>",
        (
            (
                each["code"],
                code_text(each["code"]),
                json.dumps(each["data"]) if each.get("data") else "",
            )
            for each in codes
        ),
    )
    return format_html("<ul>{}</ul>", items)


def code_text(code: str) -> str:
    """Return the sentence of a code in the active language; "" for a code that is unknown."""
    try:
        return _(MEANINGS[Code(code)].text)
    except ValueError:
        return ""
