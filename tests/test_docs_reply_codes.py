"""docs/references/reply_codes.rst is what docs/reply_codes_page.py writes."""

from __future__ import annotations

import runpy
from pathlib import Path

from xqueue_bridge.protocol.codes import MEANINGS, Code

ROOT = Path(__file__).resolve().parent.parent


def test_page_of_the_codes_is_up_to_date():
    written = runpy.run_path(str(ROOT / "docs/reply_codes_page.py"))["page"]()
    stored = (ROOT / "docs/references/reply_codes.rst").read_text()
    assert stored == written, "run python docs/reply_codes_page.py"
    for code in Code:
        assert f"``{code}``" in stored
    assert list(MEANINGS) == list(Code), "in the order of the enumeration"
