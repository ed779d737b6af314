"""Header and reply, to and from JSON."""

import hashlib
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.data import XHeader
from xqueue_bridge.exceptions import InvalidHeader
from xqueue_bridge.protocol.headers import (
    make_hashkey,
    make_xheader,
    parse_xheader,
    parse_xreply,
)

PATH = "course-v1:DemoX+CS101+2026/xqueue/7/block-v1:DemoX+CS101+2026+type@problem+block@sums"
URL = f"http://lms.example.com/courses/{PATH}/score_update"
GOOD = {"lms_callback_url": URL, "lms_key": "k", "queue_name": "demo"}

storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


# --- make


def test_header_has_the_three_members_in_order() -> None:
    """C12: the header is the JSON object that queue servers expect."""
    assert make_xheader(URL, "k", "demo") == json.dumps(GOOD)


@pytest.mark.parametrize("seed", ["", "1020261120053556abc_2_1", "é\xff", 42, None])
def test_hashkey_is_the_platforms(seed: object) -> None:
    """C12: text that the platform can hash gets the platform's own key."""
    assert make_hashkey(seed) == hashlib.md5(str(seed).encode("latin-1")).hexdigest()


@given(st.text(st.characters()))
def test_hashkey_takes_any_text(seed: str) -> None:
    """C12: no text raises, lone surrogates included."""
    key = make_hashkey(seed)
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")


# --- parse the header


@given(
    storable.filter(lambda t: len(t) <= 200),
    storable.map(str.strip).filter(lambda t: 0 < len(t) <= 128),
)
def test_header_is_read_back(queue_key: str, queue_name: str) -> None:
    """C12: the queue key is kept exactly, whatever it looks like; the name without white space."""
    header = make_xheader(URL, queue_key, queue_name)
    assert parse_xheader(header) == XHeader(URL, queue_key, queue_name)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (None, "xqueue_header"),
        (b"{}", "xqueue_header"),
        ("", "xqueue_header"),
        ("{", "xqueue_header"),
        ("[" * 5000, "xqueue_header"),
        ("9" * 5000, "xqueue_header"),
        ("[]", "xqueue_header"),
        ("null", "xqueue_header"),
        (json.dumps({**GOOD, "more": "x" * 9000}), "xqueue_header"),
        (json.dumps({**GOOD, "lms_key": None}), "lms_key"),
        (json.dumps({**GOOD, "lms_key": ""}), "lms_key"),
        (json.dumps({**GOOD, "lms_key": 5}), "lms_key"),
        (json.dumps({**GOOD, "lms_key": "k" * 256}), "lms_key"),
        (json.dumps({**GOOD, "lms_key": "a\0b"}), "lms_key"),
        (json.dumps({**GOOD, "lms_key": "\ud800"}), "lms_key"),
        (json.dumps({**GOOD, "queue_name": "q" * 129}), "queue_name"),
        (json.dumps({**GOOD, "queue_name": ["demo"]}), "queue_name"),
        (json.dumps({**GOOD, "queue_name": ""}), "queue_name"),
        (json.dumps({**GOOD, "lms_callback_url": {}}), "lms_callback_url"),
        (json.dumps({"lms_key": "k", "queue_name": "demo"}), "lms_callback_url"),
    ],
)
def test_bad_header_names_the_member(text: Any, field: str) -> None:
    """C11: a header that cannot be used is refused, and the message says what is wrong."""
    with pytest.raises(InvalidHeader) as refusal:
        parse_xheader(text)
    assert refusal.value.field == field
    assert str(refusal.value).startswith(f"{field}: ")


def test_a_number_is_a_queue_name() -> None:
    """C12: a queue name that is a number is its text."""
    assert parse_xheader(json.dumps({**GOOD, "queue_name": 101})).queue_name == "101"


@given(anything.map(json.dumps) | st.text())
def test_any_text_is_a_header_or_refused(text: str) -> None:
    """C11: nothing else happens."""
    with suppress(InvalidHeader):
        assert isinstance(parse_xheader(text), XHeader)


# --- parse the server's reply

ODD = (1, "unexpected reply from server")


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ('{"return_code": 0, "content": "7"}', (0, "7")),
        ('{"return_code": 0, "content": 7}', (0, "7")),
        ('{"return_code": 1, "content": "login_required"}', (1, "login_required")),
        ('{"return_code": 3, "content": null}', (3, ODD[1])),
        ('{"return_code": 0, "content": null}', ODD),
        ('{"return_code": 0}', ODD),
        ('{"content": "7"}', ODD),
        ('{"return_code": "0", "content": "7"}', ODD),
        ('{"return_code": false, "content": "7"}', ODD),
        ("[0, 7]", ODD),
        ("null", ODD),
        ("<html>", ODD),
        ("[" * 100_000, ODD),
        ("", ODD),
        (None, ODD),
    ],
)
def test_reply_is_code_and_text(text: Any, reply: tuple[int, str]) -> None:
    """C38, C39: the code and the text, or an error; never an exception."""
    assert parse_xreply(text) == reply


@given(anything.map(json.dumps) | st.text())
def test_any_reply_is_a_pair(text: str) -> None:
    """C38: whatever a server says, it is an int and a text."""
    code, content = parse_xreply(text)
    assert type(code) is int
    assert type(content) is str
