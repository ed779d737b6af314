"""Texts of JSON with the values on which readers fail: at any depth, also of the wrong type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, TypeAlias

from hypothesis import strategies as st

Way: TypeAlias = tuple[str | int, ...]

#: JSON that ``json.dumps`` does not write: numbers without a float or an int, and deep nesting.
LITERALS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "-0.0", "1e-400"),
    *("1" + "0" * 400, "-1" + "0" * 400, "9" * 5000),
    *("[" * 600 + "]" * 600, '{"a":' * 600 + "1" + "}" * 600, "[" * 100_000),
    *('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"a\nb"', '"\x07"'),
)
_MARK = "literal %d"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**31, 2**63, 2**64, 0.5, 1e300, 5e-324])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", " ", "true", "1", "a" * 300, "\ufeff", "\ud800", "\0", "😀"])
    | st.integers(0, len(LITERALS) - 1).map(lambda number: _MARK % number),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def texts(document: Any) -> st.SearchStrategy[str]:
    """Texts of the document with up to three values replaced, removed or added; some cut short."""
    ways = st.sampled_from(list(_ways(document)))
    changes = st.lists(st.tuples(ways, st.sampled_from("rrrda"), values), max_size=3)
    whole = changes.map(lambda made: _text(_changed(document, made)))
    return (
        whole
        | whole
        | whole.map(lambda text: "\ufeff" + text)
        | st.builds(lambda text, end: text[:end], whole, st.integers(0, 200))
    )


def _ways(value: Any, way: Way = ()) -> Iterator[Way]:
    yield way
    members = value.items() if isinstance(value, dict) else ()
    for name, inner in enumerate(value) if isinstance(value, list) else members:
        yield from _ways(inner, (*way, name))


def _changed(document: Any, changes: list[tuple[Way, str, Any]]) -> Any:
    outer = {"": deepcopy(document)}
    for way, kind, value in changes:
        *above, last = ("", *way)
        node: Any = outer
        try:
            for name in above:
                node = node[name]
            if kind == "r":
                node[last] = value
            elif kind == "d":
                del node[last]
            else:
                node[last] = {**node[last], "more": value}
        except (KeyError, IndexError, TypeError):
            continue  # another change has removed it
    return outer.get("")


def _text(value: Any) -> str:
    text = json.dumps(value)
    for number, literal in enumerate(LITERALS):
        text = text.replace(json.dumps(_MARK % number), literal)
    return text
