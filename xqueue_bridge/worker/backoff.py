"""Exponential backoff with jitter, for every kind of work that is retried. Pure."""

from __future__ import annotations

import random

#: A power of two beyond this limit exceeds every longest wait, and would overflow a float.
_MAX_DOUBLINGS = 64


def backoff(attempt: int, first: float, longest: float, jitter: float = 0.5) -> float:
    """Return the seconds to wait after the ``attempt``-th attempt, which is 1 or more.

    The wait is ``first`` and doubles with each attempt up to ``longest``; then it is shortened by a
    random part of at most ``jitter`` (0..1), so that work that failed together is not retried
    together.
    """
    doublings = min(max(attempt - 1, 0), _MAX_DOUBLINGS)
    wait = min(first * 2.0**doublings, longest)
    return wait * random.uniform(1 - jitter, 1)  # noqa: S311
