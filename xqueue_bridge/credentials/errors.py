"""Errors of the Credentials client, with codes that are safe to log."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from xqueue_bridge.exceptions import XQueueBridgeError

#: 4xx responses after which a later attempt may succeed.
PASSING_REFUSALS = frozenset({401, 408, 425, 429})


class GradeSendError(XQueueBridgeError):
    """Credentials did not take the grade.

    ``code``: the reason, as a short text. ``permanent``: the same grade would be rejected again.
    ``retry_after``: seconds that the service asked us to wait. ``affects_service``: other grades
    would meet the same.
    """

    def __init__(
        self,
        code: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        affects_service: bool = True,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.permanent = permanent
        self.retry_after = retry_after
        self.affects_service = affects_service


def error_of_response(response: requests.Response) -> GradeSendError:
    """Return the error for a response with a status other than 2xx."""
    status = response.status_code
    permanent = 400 <= status < 500 and status not in PASSING_REFUSALS
    return GradeSendError(
        f"HTTP {status}",
        permanent=permanent,
        retry_after=read_retry_after(response.headers.get("Retry-After")),
        affects_service=not permanent,
    )


def read_retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or a date (RFC 9110)."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
