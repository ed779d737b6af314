"""Words for learners."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.xqueue_service.messages import harmless


@pytest.mark.parametrize(
    ("foreign", "plain"),
    [
        ("Queue 'demo' not found", "Queue 'demo' not found"),
        ("<b>no</b>\n\n<i>way</i>", "b no /b i way /i"),
        ("see https://lms:secret@xqueue.example.com/a?b now", "see now"),
        ("\x00\x1b[31mred\u202e", "[31mred"),
        ("a &lt;script&gt;", "a lt;script gt;"),
        ("", ""),
        ("x" * 1000, "x" * 200),
        (" " * 2000 + "x", ""),
    ],
)
def test_foreign_text_becomes_plain(foreign: str, plain: str) -> None:
    """C10: what a queue server says reaches the learner without markup or addresses."""
    assert harmless(foreign) == plain


@given(st.text())
def test_any_text_becomes_one_short_line(foreign: str) -> None:
    """C10: one line, no markup, no address, whatever comes in."""
    plain = harmless(foreign)
    assert len(plain) <= 200
    assert plain.isprintable()
    assert not set("<>&") & set(plain)
    assert "://" not in plain
