"""Read values as authors write them, and as the platform reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from dateutil import parser

from xqueue_bridge.course_structure.validation import time_from
from xqueue_bridge.exceptions import InvalidCourse

MAX_DATE_CHARACTERS = 100


def date_from(text: str, where: str) -> datetime:
    """Return the time in UTC that a date means, such as "March 20 17:00" or "2026-05-20".

    As on the platform, a date without a year is in the current year, one without a zone is UTC,
    and month and day are required. Raises InvalidCourse.
    """
    error = InvalidCourse(where, "must be a date with month and day, such as 2026-12-31")
    if len(text) > MAX_DATE_CHARACTERS:
        raise error
    try:
        return time_from(text, where)
    except InvalidCourse:
        pass  # not ISO 8601
    # The platform's Date field does the same: a month or day that is missing is taken from the
    # default, so the two results differ.
    year = datetime.now(UTC).year
    defaults = datetime(year, 1, 1, tzinfo=UTC), datetime(year, 2, 2, tzinfo=UTC)
    try:
        found, other = (parser.parse(text, default=default) for default in defaults)
        is_complete = found == other
        time = time_from(found.isoformat(), where)
    except (ValueError, OverflowError, TypeError, InvalidCourse):
        raise error from None
    if not is_complete:
        raise error
    return time


def flag_from(text: str) -> bool | None:
    """Return whether a text is "true"; None for an empty or null one.

    Raises ValueError for other texts than "true" and "false", which the platform reads as false.
    """
    text = text.strip().lower()
    if text in ("", "null", "none"):
        return None
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"
