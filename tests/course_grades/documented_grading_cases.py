"""The tables of documented grading rules, case by case: 83 in all.

The rules are those of our reference (state-and-grades.md, 1.6). Upstream's own test tables are
not in this repository: each case here was derived by hand from a rule, and its result is written
out, not computed.
"""

from __future__ import annotations

#: earned, possible -> percent: four digits; a tie goes to the even digit.
#: The last is no tie: the float of 3/20,000 is below it. (18)
PERCENT = [
    (0, 10, 0.0),
    (10, 10, 1.0),
    (1, 3, 0.3333),
    (2, 3, 0.6667),
    (1, 6, 0.1667),
    (5, 6, 0.8333),
    (1, 7, 0.1429),
    (1, 8, 0.125),
    (1, 160, 0.0062),
    (3, 160, 0.0188),
    (1, 32, 0.0312),
    (3, 32, 0.0938),
    (0, 0, 0.0),
    (5, 0, 0.0),
    (12, 10, 1.2),
    (0.5, 1, 0.5),
    (1, 20_000, 0.0),
    (3, 20_000, 0.0001),
]

#: earned, possible, weight -> earned, possible. (12)
WEIGHTED = [
    (3, 4, None, 3, 4),
    (3, 4, 0, 0, 0),
    (3, 4, 12, 9, 12),
    (0, 4, 12, 0, 12),
    (4, 4, 12, 12, 12),
    (1, 4, 1, 0.25, 1),
    (0, 0, None, 0, 0),
    (0, 0, 0, 0, 0),
    (0, 0, 12, 0, 0),
    (5, 4, 2, 2.5, 2),
    (2, 0, 5, 2, 0),
    (3, 4, 0.5, 0.375, 0.5),
]

#: percents of the assignments there are, min_count, drop_count -> average. (22)
ASSIGNMENTS = [
    ([], 0, 0, 0.0),
    ([], 3, 0, 0.0),
    ([1], 10, 0, 0.1),
    ([1], 1, 0, 1.0),
    ([0.5, 1], 2, 0, 0.75),
    ([0.5, 1], 2, 1, 1.0),
    ([0.5, 1], 0, 0, 0.75),
    ([0.5, 1, 0], 2, 0, 0.5),
    ([0.5, 1, 0], 2, 1, 0.75),
    ([0.5, 0.5], 2, 1, 0.5),
    ([0.2, 0.2, 0.8], 3, 2, 0.8),
    ([1], 3, 2, 1.0),
    ([1], 3, 1, 0.5),
    ([1, 1], 2, 2, 0.0),
    ([1], 1, 1, 0.0),
    ([1, 1], 2, 3, 0.0),
    ([], 2, 2, 0.0),
    ([1, 0, 1, 0], 4, 2, 1.0),
    ([0.3, 0.6, 0.9], 3, 0, 0.6),
    ([0.25], 4, 0, 0.0625),
    ([0.9, 0.8, 0.7, 0.6], 2, 3, 0.9),
    ([1.2, 0.8], 2, 0, 1.0),
]

#: (weight, average) of each assignment type -> exact course grade. (10)
COURSE = [
    ([], 0.0),
    ([(1, 0.5)], 0.5),
    ([(0.4, 1), (0.6, 0)], 0.4),
    ([(0.4, 0.5), (0.6, 0.5)], 0.5),
    ([(0, 1), (1, 0.3)], 0.3),
    ([(0.5, 1), (0.7, 1)], 1.2),
    ([(0.1, 1), (0.2, 1)], 0.3),
    ([(0, 1)], 0.0),
    ([(0.25, 0.8), (0.25, 0.6), (0.5, 0.4)], 0.55),
    ([(0.15, 1), (0.15, 0.5), (0.3, 0.25), (0.4, 0)], 0.3),
]

_PASS = {"Pass": 0.6}
_LETTERS = {"A": 0.9, "B": 0.8, "C": 0.7}
_ZERO = {"Pass": 0.0}
_LETTER_AND_ZERO = {"A": 0.9, "D": 0.0}

#: exact course grade, cutoffs -> percent, letter, passed. (21)
RESULTS = [
    (0.5945, _PASS, 0.60, "Pass", True),
    (0.5944, _PASS, 0.59, None, False),
    (0.5999, _PASS, 0.60, "Pass", True),
    (0.6, _PASS, 0.60, "Pass", True),
    (0.0, _PASS, 0.0, None, False),
    (1.0, _PASS, 1.0, "Pass", True),
    (0.0045, _PASS, 0.01, None, False),
    (0.0044, _PASS, 0.0, None, False),
    (1.2, _PASS, 1.2, "Pass", True),
    (0.9945, _PASS, 1.0, "Pass", True),
    (0.8945, _LETTERS, 0.9, "A", True),
    (0.8944, _LETTERS, 0.89, "B", True),
    (0.7945, _LETTERS, 0.8, "B", True),
    (0.7, _LETTERS, 0.7, "C", True),
    (0.6944, _LETTERS, 0.69, None, False),
    (0.6945, _LETTERS, 0.7, "C", True),
    (1.0, {}, 1.0, None, False),
    (0.5, _ZERO, 0.5, "Pass", False),
    (0.0, _ZERO, 0.0, "Pass", False),
    (0.5, _LETTER_AND_ZERO, 0.5, "D", False),
    (0.9, _LETTER_AND_ZERO, 0.9, "A", True),
]
