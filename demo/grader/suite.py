"""Description of a test suite: the function, its arguments and the expected results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One call. A hidden case counts, but the feedback does not show its arguments."""

    arguments: tuple[Any, ...]
    expected: Any
    hidden: bool = False


@dataclass(frozen=True)
class Test:
    """A requirement, as the feedback shows it; it earns its points if all its cases are right."""

    name: str
    cases: tuple[Case, ...]
    points: float = 1

    # pytest must not collect this class.
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
        """Return the points of a right answer."""
        return sum(test.points for test in self.tests)
