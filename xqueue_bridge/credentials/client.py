"""The HTTP request that sends one grade to Credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal

import requests

from xqueue_bridge import http_client
from xqueue_bridge.course_grades.api import PersistentCourseGrade
from xqueue_bridge.credentials.errors import GradeSendError, error_of_response
from xqueue_bridge.credentials.tokens import access_token
from xqueue_bridge.option_groups import CredentialsOptions

#: Credentials stores a percent as Decimal(5, 4).
_PRECISION = Decimal("0.0001")
_MOST = Decimal("9.9999")


def grade_message(
    username: str, grade: PersistentCourseGrade, *, verified: bool
) -> dict[str, object]:
    """Return the JSON body of the request, with Credentials' field names."""
    return {
        "username": username,
        "course_run": str(grade.course_id),
        "letter_grade": grade.letter_grade,
        "percent_grade": quantised(grade.percent_grade),
        "verified": verified,
        "lms_last_updated_at": grade.modified.isoformat(),
    }


def quantised(percent: float) -> float:
    """Return ``percent`` (0..1; more with extra credit) rounded to 4 decimal places."""
    exact = Decimal(str(percent)).quantize(_PRECISION, rounding=ROUND_HALF_EVEN)
    return float(min(max(exact, Decimal(0)), _MOST))


def post_grade(
    service: CredentialsOptions,
    message: Mapping[str, object],
    is_in_time: Callable[[], bool] = lambda: True,
) -> None:
    """Post one grade; retry once with a new token if the token was refused. Raises GradeSendError.

    ``is_in_time`` is called after the token was fetched, which can take long, and returns
    whether the caller's claim still holds.
    """
    token = access_token(service)
    response = _post(service, message, token, is_in_time)
    if response.status_code == 401:
        token = access_token(service, instead_of=token)
        response = _post(service, message, token, is_in_time)
    if not 200 <= response.status_code < 300:
        raise error_of_response(response)


def _post(
    service: CredentialsOptions,
    message: Mapping[str, object],
    token: str,
    is_in_time: Callable[[], bool],
) -> requests.Response:
    if not is_in_time():
        raise GradeSendError("no time left")
    try:
        with http_client.post(
            f"{service.URL.rstrip('/')}/grades/",
            json=message,
            timeout=service.timeouts,
            auth=_bearing(token),
            stream=True,  # only the status and Retry-After are read
        ) as response:
            return response
    except http_client.HTTP_ERRORS as exc:
        # "from None": requests puts the URL into its messages.
        raise GradeSendError(http_client.error_code(exc)) from None


def _bearing(token: str) -> http_client.Auth:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"JWT {token}"
        return request

    return sign
