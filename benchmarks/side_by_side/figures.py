"""Arithmetic of figures: quantiles, paired ratios with their range."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """A ratio of two systems: the median of the rounds, and the smallest and the greatest."""

    median: float
    smallest: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.smallest:.2f} to {self.greatest:.2f})"


def ratio(ones: Sequence[float], others: Sequence[float]) -> Ratio:
    """Return one to other, round by round: both were measured one after the other."""
    each = [one / other for one, other in zip(ones, others, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that this share of them does not exceed; 0 if none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0
