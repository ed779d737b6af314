"""Blocks, states and hooks that the tests of user-state clients share."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from opaque_keys.edx.keys import CourseKey, LearningContextKey, UsageKey

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
LIBRARY = LearningContextKey.from_string("lib:DemoX:problems")
BLOCKS = [
    UsageKey.from_string(f"block-v1:DemoX+CS101+2026+type@problem+block@p{n}") for n in range(50)
]
BLOCK, OTHER, THIRD = BLOCKS[:3]
VIDEO = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@video+block@v")
ELSEWHERE = UsageKey.from_string("block-v1:DemoX+CS102+2026+type@problem+block@p0")
LIBRARY_BLOCK = UsageKey.from_string("lb:DemoX:problems:problem:p0")
DEPRECATED_LIBRARY_BLOCK = UsageKey.from_string("lib-block-v1:DemoX+old+type@problem+block@p0")
DEPRECATED_KEY = UsageKey.from_string("i4x://DemoX/CS101/problem/p0")
OLD_RUNS = [CourseKey.from_string(f"DemoX/CS101/{run}") for run in ("2014", "2015")]

#: States as blocks store them, including some that have caused errors.
STATES: tuple[dict[str, object], ...] = (
    {"text": "héllo wörld, 你好, 🎓, \u202eright to left"},
    {"nul": "a\x00b", "control": "\x01\x1f\x7f", "half": "\ud800"},
    {"integer": 2**200, "negative": -(2**63) - 1, "float": 1e-300, "zero": -0.0},
    {"nested": [[], [[]], {"a": [{"b": None}]}, True, False, None]},
    {"": "an empty name", "na\x00me": 1, "with.dots and $": 2},
    {"long": "x" * 100_000},
    {"quotes": "'\"\\`%s{}", "sql": "'; --"},
)


#: Scopes that clients must reject.
OTHER_SCOPES = ("user_state_summary", "preferences", "user_info", "settings", None)


def raises(*errors: type[BaseException]) -> AbstractContextManager[Any]:
    """Expect one of ``errors``; pytest is imported only when the tests run."""
    import pytest

    return pytest.raises(errors)


class UserStateCase:
    """The hooks that a subclass implements."""

    def make_client(self, username: str | None = None) -> Any:
        """Return a new client; ``username``: the learner it will mostly be used for, if known."""
        raise NotImplementedError

    def make_user(self, name: str) -> str:
        """Create a learner and return the username. Called once for each name in a test."""
        raise NotImplementedError
