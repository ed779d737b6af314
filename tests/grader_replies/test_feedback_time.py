"""Sanitising feedback takes time in proportion to its length, whatever it contains.

A learner's program decides what it prints, and many graders copy its output into ``msg``.
"""

from __future__ import annotations

import time

import pytest

from xqueue_bridge.grader_replies.feedback import as_text, escaped, make_feedback

#: Characters, and CPU seconds: ten times what a slow machine takes while coverage is measured.
CHARACTERS = 250_000
SECONDS = 3.0

UNITS = {
    "ampersand": "&",
    "spaced ampersand": "& ",
    "code": "if (a && b || c && d) { x &= y; }\n",
    "open bracket": "<",
    "both": "<&",
    "bracket before a letter": "<x",
    "bracket before a name": "<a ",
    "closing bracket": ">",
    "no-break space": "\xa0",
    "entity": "&amp;",
    "unknown entity": "&notit;",
    "number without end": "&#",
    "quote": '"',
    "text area": "<textarea>&",
    "text area, once": "&",
    "comment": "<!--",
    "declaration": "<!",
    "doctype": "<!doctype ",
    "broken tag": "<p ",
    "open tags": "<b>",
    "paragraphs": "<p>",
    "tables": "<table><tr><td>",
    "attributes": "<p title='&' ",
    "quotes in a tag": "<a \"<a '",
    "line ends": "\r\n",
    "plain": "hello\n",
}


def cpu_seconds(text: str) -> float:
    began = time.process_time()
    make_feedback(text)
    return time.process_time() - began


@pytest.mark.parametrize("name", UNITS)
def test_long_feedback_is_sanitised_in_bounded_time(name):
    """C93: this includes text that is escaped character by character, in the grader's request."""
    unit = UNITS[name]
    begin = "<textarea>" if name == "text area, once" else ""
    assert cpu_seconds(begin + unit * (CHARACTERS // len(unit))) < SECONDS


@pytest.mark.parametrize("unit", ["&", "<", "<&", "\xa0"])
def test_markup_with_too_many_escaped_characters_is_shown_as_text(unit):
    """C93: also beside an element they stay cheap; without one no parser is used."""
    text = unit * (1_000_000 // len(unit))
    began = time.process_time()
    assert make_feedback("<b>x</b>" + text) == as_text("<b>x</b>" + text)
    assert make_feedback(text) == escaped(text)
    assert time.process_time() - began < 4 * SECONDS


@pytest.mark.parametrize("unit", ["&", "& ", "\xa0", UNITS["code"]])
def test_four_times_the_text_takes_about_four_times_the_time(unit):
    """C93: quadratic time would be sixteen times as long."""
    small, large = (cpu_seconds(unit * (size // len(unit))) for size in (125_000, 500_000))
    assert large < 0.2 or large / small < 8, f"{small:.2f} s, {large:.2f} s"


@pytest.mark.parametrize("unit", ["&", "a & b ", "\xa0", "&amp;&lt;", "&no&\xa0", "<b>&&</b>\xa0&"])
@pytest.mark.parametrize("frame", ["{}", "<pre>{}</pre>", "<p title='&&'>{}</p>", "<table>{}"])
def test_text_sanitised_in_pieces_equals_text_sanitised_at_once(unit, frame, monkeypatch):
    """C93: no separator of the pieces is left in the feedback."""
    text = frame.format(unit * 1200)
    made = make_feedback(text)
    monkeypatch.setattr("xqueue_bridge.grader_replies.feedback.MAX_ESCAPES", 1_000_000)
    assert made == make_feedback(text)
    assert "<!--" not in made
    assert make_feedback(made) == made
