"""Write docs/references/reply_codes.rst: the codes of refused and of changed results.

Run ``python docs/reply_codes_page.py`` after protocol/codes.py has changed;
tests/test_docs_reply_codes.py fails until the page agrees with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "references" / "reply_codes.rst"

INTRODUCTION = """\
.. Written by docs/reply_codes_page.py from xqueue_bridge/protocol/codes.py. Do not edit.

Codes of results
================

What a grader is told about a result, besides the protocol's own texts (:doc:`rest_protocol`). The
staff pages show the same codes with the reply, and count them for each grader.
"""

REFUSED = """\
Refused
-------

``return_code`` is 1. The response header ``X-XQueue-Code`` has the code; ``X-XQueue-Problem`` names
the field and gives the reason.
"""

ACCEPTED = """\
Accepted with a warning
-----------------------

``return_code`` is 0: the grade counts. The response header ``X-XQueue-Warnings`` has a JSON list of
objects with ``code``, ``field`` and ``data`` (numbers, and names of elements and members; never a
learner's text). Two codes are known only when the reply is applied, after the response:
``score_above_maximum`` and ``incorrect_with_all_points``.
"""


def page() -> str:
    """Return the page."""
    lines = [INTRODUCTION, REFUSED, *_table(is_refusal=True), ACCEPTED, *_table(is_refusal=False)]
    return "\n".join(lines)


def _table(*, is_refusal: bool) -> Iterator[str]:
    from xqueue_bridge.protocol.codes import MEANINGS

    yield ".. list-table::\n   :header-rows: 1\n   :widths: 24 18 32 26\n"
    for row in (
        ("Code", "Field", "Meaning", "What to change"),
        *(
            (f"``{code}``", f"``{each.field}``", each.text, _literal(each.advice))
            for code, each in MEANINGS.items()
            if each.is_refusal is is_refusal
        ),
    ):
        yield "\n".join(f"   {'* -' if n == 0 else '  -'} {cell}" for n, cell in enumerate(row))
    yield ""


def _literal(text: str) -> str:
    """Return an advice with its backslashes kept."""
    return text.replace("\\", "\\\\")


def main() -> None:
    """Write the page."""
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
