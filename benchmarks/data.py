"""Data that the benchmarks have in common: keys and states of problems."""

from __future__ import annotations

from typing import Any


def block_key(number: int) -> Any:
    from opaque_keys.edx.keys import UsageKey

    return UsageKey.from_string(f"block-v1:DemoX+CS101+2026+type@problem+block@{number:032x}")


def state(number: int) -> dict[str, Any]:
    """Return the state of a problem with one answer."""
    answer = f"{number:032x}_2_1"
    return {
        "attempts": 1,
        "correct_map": {
            answer: {
                "answervariable": None,
                "correctness": "correct",
                "hint": "",
                "hintmode": None,
                "msg": "<section><h3>All tests passed.</h3></section>",
                "npoints": 1,
                "queuestate": None,
            }
        },
        "done": True,
        "input_state": {answer: {}},
        "last_submission_time": "2026-11-20T08:00:00Z",
        "score": {"raw_earned": 1, "raw_possible": 1},
        "seed": number,
        "student_answers": {answer: "def double(x):\n    return 2 * x\n" * 8},
    }
