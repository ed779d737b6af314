"""kind(a, b, c): what kind of triangle has these sides. A point for each kind."""

from demo.grader.suite import Case, Suite, Test


def _test(name: str, kind: str, *triangles: tuple[int, int, int]) -> Test:
    return Test(name, tuple(Case(sides, kind) for sides in triangles))


def suite(payload: dict, student: dict) -> Suite:
    return Suite(
        "kind",
        (
            _test("Three equal sides", "equilateral", (3, 3, 3)),
            _test("Two equal sides, in any order", "isosceles", (3, 3, 5), (3, 5, 3), (5, 3, 3)),
            _test("Three different sides", "scalene", (3, 4, 5), (5, 3, 4)),
            _test("No triangle at all", "none", (1, 2, 3), (1, 1, 3), (0, 0, 0), (-1, 2, 2)),
        ),
    )
