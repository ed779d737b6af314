"""primes_below(n): the primes, within a time limit. The large case is last."""

import functools

from demo.grader.suite import Case, Suite, Test


@functools.cache
def _primes_below(n: int) -> list[int]:
    sieve = bytearray([1]) * n
    sieve[:2] = bytes(min(2, n))
    for i in range(2, int(n**0.5) + 1):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, n, i)))
    return [i for i in range(n) if sieve[i]]


def _test(name: str, *limits: int) -> Test:
    return Test(name, tuple(Case((n,), _primes_below(n)) for n in limits))


def suite(payload: dict, student: dict) -> Suite:
    seconds = payload["seconds"]
    return Suite(
        "primes_below",
        (
            _test("Starts with 2", 0, 1, 2, 3),
            _test("Finds the primes below 100", 100),
            _test(f"Finds those below two million within {seconds} s", 2_000_000),
        ),
        seconds=seconds,
    )
