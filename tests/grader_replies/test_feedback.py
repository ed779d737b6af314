"""Sanitised feedback, well-formed for a learner's page: pure."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from xqueue_bridge.grader_replies import feedback
from xqueue_bridge.grader_replies.feedback import (
    ALLOWED_TAGS,
    EMPTIED_TAGS,
    MAX_WORK,
    NO_FEEDBACK,
    UNWRAPPED_TAGS,
    make_feedback,
)

# As xqueue-watcher's graders send it.
WATCHER = (
    '<div class="test">\n<header>Test results</header>\n  <section>\n'
    '    <div class="shortform">\nCORRECT\n    </div>\n    <div class="longform">\n'
    '      <div class="result-output result-correct">\n        <h4>Adding &lt;1&gt;</h4>\n'
    "        <pre>add(1, 2)\n  indented</pre>\n        <dl>\n        <dt>Output:</dt>\n"
    '        <dd class="result-actual-output"><pre>3\n</pre></dd>\n        </dl>\n      </div>\n'
    '    <ul class="errors"><li>one</li><li>two</li></ul>\n    </div>\n  </section>\n</div>'
)

pieces = [
    *(
        piece
        for tag in sorted(ALLOWED_TAGS | EMPTIED_TAGS | UNWRAPPED_TAGS)
        for piece in (f"<{tag}>", f"</{tag}>", f"<{tag} class='a' id=b>", f"<{tag}/>")
    ),
    *("<a href='javascript:x'>", "<img src='http://x/y' alt='a<b>c'>", "<plaintext>", "<x-y z>"),
    *("<!--", "-->", "<![CDATA[", "<", ">", "&", '"', "'", "\n"),
    *("&nbsp;", "&#1;", "&#13;", "&lt;"),
]
markup = st.lists(st.sampled_from(pieces) | st.text(st.characters(), max_size=8), max_size=14).map(
    "".join
)
plain = st.characters(min_codepoint=0x20, exclude_categories=["Cs"]).filter(
    lambda character: character not in "<&\ufeff\ufffe\uffff"
)


def as_tree(text: str) -> etree._Element:
    return etree.fromstring(f"<root>{text}</root>")


@given(markup)
@example("<p><object><p>x</p></object></p>")
@example("<pre>\n\nfoo</pre>")
@example("<table>a<tr>b<td>c</table>")
def test_any_text_becomes_well_formed_xml_of_allowed_tags(text):
    """C93: the feedback has allowed elements and no scripts, styles or other URLs."""
    tree = as_tree(make_feedback(text))
    for element in tree.iterdescendants():
        assert element.tag in ALLOWED_TAGS
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert name not in ("style", "id", "srcdoc")
            if name in ("href", "src"):
                assert value.strip().lower().startswith(("https://", "http://", "mailto:"))


@given(markup)
@example("<p><object><p>x</p></object></p>")
@example("<pre>\n\n\nfoo</pre>")
@example("\n" + "<div>" * 101)
def test_sanitised_feedback_does_not_change_again(text):
    once = make_feedback(text)
    assert make_feedback(once) == once


@given(st.text(plain))
def test_plain_text_is_kept(text):
    assert "".join(as_tree(make_feedback(text)).itertext()) == text


text_with_references = st.lists(
    st.text(plain, max_size=4)
    | st.sampled_from(["&", "&amp;", "&amp", "&lt;b>", "&notit;", "&nbsp;", "&#38;", "&#1;"]),
    max_size=12,
).map("".join)


@given(text_with_references)
@example("\n&lt;pre&gt;\n")
@example("&#13;\n&#128;&#xd800;&NotEqualTilde;")
def test_text_without_elements_reads_as_the_html_parser_reads_it(text):
    parsed = feedback._as_xml(feedback._sanitised(feedback.clean_text(text)))
    assert make_feedback(text) == parsed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\ufeffa\ufeffb", "ab"),
        ("a < b", "a < b"),
        ("if x<y and y>z: pass", "if x<y and y>z: pass"),
        ("vector<int> v; <b>List<String></b>", "vector<int> v; List<String>"),
        ("1 << 3 && 2 <= 3", "1 << 3 && 2 <= 3"),
        ("<module '__main__'>", "<module '__main__'>"),
        ("it ended in <b", "it ended in <b"),
        ("<!-- it never closes", "<!-- it never closes"),
        ("<?xml version='1.0' encoding='utf-8'?>x", "<?xml version='1.0' encoding='utf-8'?>x"),
        ("<plaintext>x", "<plaintext>x"),
    ],
)
def test_text_that_is_no_markup_is_shown_as_text(text, shown):
    assert "".join(as_tree(make_feedback(text)).itertext()) == shown


def test_feedback_of_xqueue_watcher_is_kept():
    assert make_feedback(WATCHER) == WATCHER


@pytest.mark.parametrize(
    "text",
    [
        NO_FEEDBACK,
        "Well done.",
        '<div class="capa_alert">Your submission could not be graded.</div>',
        '<table class="t"><thead><tr><th scope="col">in</th></tr></thead><tbody><tr>'
        '<td colspan="2">1</td></tr></tbody></table>',
        '<img alt="a plot" height="10" src="https://example.com/plot.png" width="20"/>',
        '<a href="mailto:staff@example.com" rel="noopener noreferrer">staff</a>',
        '<span lang="el" title="hint">αβγ</span> 😀',
        '<details class="trace"><summary>Trace</summary><pre>a\n  b</pre></details>',
    ],
)
def test_allowed_markup_is_kept(text):
    assert make_feedback(text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("one<br>two<hr>", "one<br/>two<hr/>"),
        ("a&nbsp;b &copy; &eacute;", "a&#160;b © é"),
        ("&#0065;&#x41;&#0;&#8364;&#1114112;", "AA\ufffd€\ufffd"),
        pytest.param(f"&#{'1' * 5_000};&#{'0' * 5_000}65;b", "\ufffdAb", id="long numbers"),
        ("<P CLASS=big>x", '<p class="big">x</p>'),
        ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
        ("<aaa></bbb>", "&lt;aaa&gt;&lt;/bbb&gt;"),
        (
            "<details open><summary>s</summary></details>",
            '<details open=""><summary>s</summary></details>',
        ),
        ("a<!-- for staff -->b", "ab"),
        (
            "<!DOCTYPE html><html><head><title>t</title></head><body><p>x</p></body></html>",
            "<p>x</p>",
        ),
    ],
)
def test_malformed_markup_becomes_well_formed(text, made):
    assert make_feedback(text) == made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("<script>alert(1)</script>ok", "ok"),
        ("<style>p{color:red}</style>ok", "ok"),
        ("<iframe src='https://example.com'>x</iframe>ok", "ok"),
        ("<p onclick='x()' style='top:0' id='main'>ok</p>", "<p>ok</p>"),
        ("<form action='/x'><input name='a'><button>Go</button></form>", "Go"),
        ("<a href='javascript:x'>ok</a>", '<a rel="noopener noreferrer">ok</a>'),
        ("<a href='/logout'>ok</a>", '<a rel="noopener noreferrer">ok</a>'),
        ("<img src='http://example.com/x.png'>", "<img/>"),
        ("<img src='data:image/png;base64,AA'>", "<img/>"),
        ("<img src='//example.com/x.png'>", "<img/>"),
        ("<svg onload='x()'><circle></svg>ok", "&lt;circle&gt;ok"),
        ("\x00\x07a\x0b\ud800\ufffe\uffffb&#7;&#xFFFE;c", "abc"),
        ("a\r\nb\rc&#13;d", "a\nb\nc\nd"),
    ],
)
def test_active_content_is_removed(text, made):
    assert make_feedback(text) == made


@pytest.mark.parametrize(
    "text",
    [
        "<div>" * 5_000,
        "<p><b>" * 5_000,
        "<div><table></div></table>" * 5_000,
        "".join(f"<b class='{n}'>" for n in range(100)) + "<p>" * 20_000,
        "<li><dd>" * 5_000 + "<div></div>" * 5_000,
        "<dd></dt><li></dt>" * 5_000,
        "<span><p></span></p>" * 5_000,
        "<option><li></option>" * 5_000,
        f"<p {' '.join(f'a{n}' for n in range(50_000))}>x</p>",
        f"<p {'/'.join(f'a{n}' for n in range(50_000))}>x</p>",
    ],
    ids=["deep", "repeated", "mismatched", "reopened", "items", "wrong ends", "inline ends"]
    + ["options", "attributes", "slashes"],
)
def test_markup_over_the_work_limit_is_shown_as_text(text, monkeypatch):
    """C90: such markup is not parsed, so the grader's request takes bounded time."""
    monkeypatch.setattr(feedback, "_sanitised", lambda markup: pytest.fail("it is read"))
    made = make_feedback(text)
    assert made.startswith("<pre>&lt;")
    assert as_tree(made)[0].text == text


@pytest.mark.parametrize(
    ("unit", "made"),
    [
        ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
        ("<dl><dt>a<dd>b<p>c<ul><li>d</ul></dl>", None),
        ("<div><p>a<p>b<li>c<h4>d</h4></div>", None),
        ("<table><tr><td><p>a<td><ul><li>b</ul></table>", None),
        ("<p>a<div>b</div>", "<p>a</p><div>b</div>"),
    ],
)
def test_repeated_markup_without_end_tags_is_not_nested(unit, made):
    """Real graders leave end tags out, and their feedback can be long."""
    assert make_feedback(unit * 2_000) == (made or make_feedback(unit)) * 2_000


def test_long_attribute_is_kept():
    text = f'<p title="{"a word and another, " * 1_000}">x</p>'
    assert make_feedback(text) == text


def test_feedback_of_300000_characters_keeps_its_markup():
    text = '<div class="row"><b>x</b></div>' * 10_000
    assert len(text) > 300_000
    assert len(text) < MAX_WORK
    assert make_feedback(text) == text
