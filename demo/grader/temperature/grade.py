"""to_fahrenheit(celsius) and to_celsius(fahrenheit): two answers with one test each."""

from demo.grader.suite import Case, Suite, Test

#: Degrees Celsius and Fahrenheit.
SAME = ((0, 32), (100, 212), (-40, -40), (37, 98.6))


def suite(payload: dict, student: dict) -> Suite:
    to_celsius = payload["part"] == "to_celsius"
    pairs = [(fahrenheit, celsius) if to_celsius else (celsius, fahrenheit)
             for celsius, fahrenheit in SAME]  # fmt: skip
    cases = tuple(Case((given,), expected) for given, expected in pairs)
    return Suite(payload["part"], (Test("Converts", cases),), tolerance=1e-6)
