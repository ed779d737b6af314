"""fizzbuzz(n): a list of texts for 1..n; one test."""

from demo.grader.suite import Case, Suite, Test


def _fizzbuzz(n: int) -> list[str]:
    return ["Fizz" * (i % 3 == 0) + "Buzz" * (i % 5 == 0) or str(i) for i in range(1, n + 1)]


def suite(payload: dict, student: dict) -> Suite:
    lengths = ((0, False), (1, False), (15, False), (30, True))
    cases = tuple(Case((n,), _fizzbuzz(n), hidden) for n, hidden in lengths)
    return Suite("fizzbuzz", (Test("Counts, with Fizz and Buzz where they belong", cases),))
