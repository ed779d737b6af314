"""Read dates as authors write them, and as the platform reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from dateutil import parser

from xqueue_bridge.course_structure.validation import time_from
from xqueue_bridge.exceptions import InvalidCourse

MAX_DATE_CHARACTERS = 100
#: Below it, in 1973, a number is a date without separators.
MIN_MILLISECONDS = 10**11


def date_from(text: str, where: str) -> datetime:
    """Return the time in UTC that a date means, such as "March 20 17:00" or "2026-05-20".

    As on the platform, a date without a year is in the current year, one without a zone is UTC,
    month and day are required, and a number is in milliseconds since 1970. Raises InvalidCourse.
    """
    error = InvalidCourse(where, "must be a date with month and day, such as 2026-12-31")
    if len(text) > MAX_DATE_CHARACTERS:
        raise error
    try:
        if float(text) >= MIN_MILLISECONDS:
            text = datetime.fromtimestamp(float(text) / 1000, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        pass  # not a number, or beyond the year 9999
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
