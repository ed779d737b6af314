"""Values of untrusted text. Pure."""

from __future__ import annotations

import math

import pytest

from xqueue_bridge.protocol.fields import is_finite, read_json

MARKED = '\ufeff{"a": "é"}'
TEXT = MARKED[1:]


@pytest.mark.parametrize("text", [TEXT, MARKED])
def test_text_is_read_with_and_without_a_byte_order_mark(text):
    assert read_json(text) == read_json(text.encode()) == {"a": "é"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le"])
def test_bytes_in_another_unicode_encoding_are_read(encoding):
    assert read_json(TEXT.encode(encoding)) == {"a": "é"}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5_000, b"\xff\xff\xff"])
def test_what_is_no_json_raises_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  json and int word their errors
        read_json(text)


@pytest.mark.parametrize("number", [0, -1.5, 1e308, -(10**308)])
def test_numbers_that_a_float_holds_are_finite(number):
    assert is_finite(number)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400, -(10**400)])
def test_other_numbers_are_not_finite(number):
    assert not is_finite(number)
