"""Parsing of one OLX file: elements with their lines; entities are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.course_structure.olx.xml import MAX_DEPTH, parse_xml, unquoted
from xqueue_bridge.exceptions import InvalidCourse


def test_elements_have_their_file_and_line():
    root = parse_xml(b'<a>\n <b url_name="x"><c/></b>\n text <d/></a>', "a.xml")
    assert [each.tag for each in root.descendants()] == ["b", "c", "d"]
    (first, second) = root.children
    assert str(first.error("is wrong", "weight")) == (
        "a.xml, line 2, b 'x', attribute 'weight': is wrong"
    )
    assert (second.line, second.file) == (3, "a.xml")


@pytest.mark.parametrize(
    ("text", "is_pointer"),
    [
        ('<problem url_name="p"/>', True),
        ('<problem url_name="p"> </problem>', True),
        ('<problem url_name="p" weight="2"/>', False),
        ('<problem url_name="p"><p/></problem>', False),
        ("<problem/>", False),
        ('<course url_name="R" org="O" course="C"/>', True),
        ('<course url_name="R" org="O" course="C" semester="R"/>', True),
        ('<problem url_name="p" org="O"/>', False),
    ],
)
def test_element_with_only_a_url_name_is_a_pointer(text, is_pointer):
    assert parse_xml(text.encode(), "f.xml").is_pointer is is_pointer


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY e "text">]><a>&e;</a>',
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd" [<!ATTLIST a b CDATA "c">]><a/>',
    ],
)
def test_document_type_with_declarations_is_refused(text):
    with pytest.raises(InvalidCourse, match=r"^f.xml, line 1: must not have a document type with"):
        parse_xml(text.encode(), "f.xml")


@pytest.mark.parametrize("of", ["", ' SYSTEM "http://127.0.0.1:1/a.dtd"', ' PUBLIC "a" "b.dtd"'])
def test_document_type_without_declarations_is_read_and_its_file_is_not(of):
    """Kind 11: the platform reads such a file too."""
    assert parse_xml(f"<!DOCTYPE a{of}>\n<a><b/></a>".encode(), "f.xml").children[0].tag == "b"


def test_namespace_is_not_an_attribute():
    """Kind 11: an element that only points to its file stays one."""
    text = b'<problem xmlns:option="http://code.edx.org/xblock/option" url_name="p"/>'
    assert parse_xml(text, "f.xml").is_pointer


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<a>\n<b></a>", "f.xml, line 2: is not XML: mismatched tag"),
        (b"", "f.xml, line 1: is not XML: no element found"),
        (b"<a>&nbsp;</a>", "f.xml, line 1: is not XML: undefined entity"),
        (b"<a>\xff</a>", "f.xml, line 1: is not XML: not well-formed"),
        (b"<?xml version='1.0' encoding='no-such'?><a/>", "f.xml"),
        (b"<?xml version='1.0' encoding='utf-7'?><a/>", "f.xml"),
        (b"<a>" * (MAX_DEPTH + 1), "f.xml, line 1, a: stands too deep"),
        (b"<a>" + b"<b/>" * 100_001 + b"</a>", "f.xml, line 1, b: stands too deep, or after"),
    ],
)
def test_content_that_is_not_xml_is_refused_with_its_line(content, message):
    with pytest.raises(InvalidCourse) as caught:
        parse_xml(content, "f.xml")
    assert str(caught.value).startswith(message)


@given(st.binary(max_size=60) | st.text(alphabet="<>/ab=\"'&;!?[] ", max_size=60).map(str.encode))
def test_any_bytes_are_parsed_or_invalid_course(content):
    try:
        parse_xml(content, "f.xml")
    except InvalidCourse as exc:
        assert exc.field.startswith("f.xml")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"a"', "a"),
        ("a", "a"),
        ('"', '"'),
        ('"a"b"', '"a"b"'),
        ('""', ""),
        ('"\\u00e9"', "é"),
        ('"\\ud800"', '"\\ud800"'),
        ("null", ""),
    ],
)
def test_json_string_is_unquoted_and_other_text_is_kept(value, expected):
    assert unquoted(value) == expected
