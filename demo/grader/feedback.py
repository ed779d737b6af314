"""Build the feedback for a learner: HTML like that of xqueue-watcher's graders."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_SHOWN = 1000
# Characters that XML forbids, and that a program can print.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Finding:
    """The result of one test: its name, whether it passed, and details."""

    name: str
    passed: bool
    details: tuple[tuple[str, str], ...] = ()


def text(value: str) -> str:
    """Return any text as escaped HTML of a bounded length."""
    if len(value) > MAX_SHOWN:
        value = f"{value[:MAX_SHOWN]} … ({len(value) - MAX_SHOWN} more characters)"
    return html.escape(_ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", value))


def render(summary: str, findings: Iterable[Finding] = (), printed: str = "") -> str:
    """Return the feedback: a heading, a section for each test, and what the program printed."""
    sections = "".join(map(_section, findings))
    if printed.strip():
        sections += f"<section><h4>Your program printed</h4><pre>{text(printed)}</pre></section>"
    return f'<div class="test"><header>{text(summary)}</header>{sections}</div>'


def _section(finding: Finding) -> str:
    kind, label = ("correct", "passed") if finding.passed else ("incorrect", "failed")
    details = "".join(
        f"<dt>{text(name)}</dt><dd><pre>{text(value)}</pre></dd>" for name, value in finding.details
    )
    return (
        f'<section><div class="result-output result-{kind}">'
        f"<h4>{text(finding.name)}: {label}</h4>{f'<dl>{details}</dl>' if details else ''}"
        "</div></section>"
    )
