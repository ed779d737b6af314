"""Number of examples of property tests that are too slow for the profile's number."""

from hypothesis import settings

#: Of the profile "thorough".
USUAL = 100


def few(number: int) -> int:
    """Return ``number`` in the profile "thorough", and in proportion in the others.

    Call it when a test module is imported, which is after conftest.py has loaded the profile.
    """
    return number * settings().max_examples // USUAL
