"""What a grading program says: the function it calls, with what, and what should come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One call. A hidden case is counted, but the learner is not told its numbers."""

    arguments: tuple[Any, ...]
    expected: Any
    hidden: bool = False


@dataclass(frozen=True)
class Test:
    """A requirement, in the learner's words; its points are given if all its cases are right."""

    name: str
    cases: tuple[Case, ...]
    points: float = 1

    # Not one of pytest's, whatever its name.
    __test__ = False


@dataclass(frozen=True)
class Suite:
    """The tests of one answer.

    ``file``: the upload to run; None for an answer typed into the page. ``seconds``: of
    processor time, for all tests together. ``tolerance``: how far a number may be off.
    """

    function: str
    tests: tuple[Test, ...]
    file: str | None = None
    seconds: float = 2
    tolerance: float = 0

    @property
    def points(self) -> float:
        """What a right answer earns."""
        return sum(test.points for test in self.tests)
