"""Number of examples of property tests that are too slow for the profile's own number."""

from hypothesis import settings

#: Of the profile "suite", which uses Hypothesis's default.
USUAL = 100


def few(number: int) -> int:
    """Return ``number`` in the profile "suite", and more in proportion in one with more examples.

    Call it when a test module is imported, which is after conftest.py has loaded the profile.
    """
    return number * settings().max_examples // USUAL
