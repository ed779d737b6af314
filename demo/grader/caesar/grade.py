"""encode(text): each letter moved by this learner's shift."""

import random
from string import ascii_lowercase as lower
from string import ascii_uppercase as upper

from demo.grader.suite import Case, Suite, Test


def shift_of(student: dict) -> int:
    """Return the learner's shift; the problem's script computes it from the same seed."""
    return 3 + int(random.Random(student["random_seed"]).random() * 20)


def suite(payload: dict, student: dict) -> Suite:
    shift = shift_of(student)
    moved = lower[shift:] + lower[:shift] + upper[shift:] + upper[:shift]
    table = str.maketrans(lower + upper, moved)

    def test(name: str, *texts: str) -> Test:
        return Test(name, tuple(Case((text,), text.translate(table)) for text in texts))

    return Suite(
        "encode",
        (
            test("Moves small letters, from z on to a", "abcxyz", "attack at dawn"),
            test("Keeps capitals, digits and punctuation", "Hello, World! 42"),
        ),
    )
