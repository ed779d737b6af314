"""Errors of requests to Credentials: codes, permanence and Retry-After."""

from __future__ import annotations

import pytest
import requests
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.credentials.errors import error_of_response, read_retry_after
from xqueue_bridge.http_client import error_code


def response_with(status: int, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    return response


@pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 409, 410, 413, 422, 451])
def test_refusal_of_the_grade_is_a_permanent_error(status):
    """SG80: a refusal of the grade is final."""
    error = error_of_response(response_with(status))
    assert (error.code, error.permanent, error.affects_service) == (
        f"HTTP {status}",
        True,
        False,
    )


@pytest.mark.parametrize("status", [301, 302, 401, 408, 425, 429, 500, 502, 503, 504])
def test_refusal_for_another_reason_is_a_transient_error(status):
    """SG80: a refusal that is not about the grade is not final."""
    error = error_of_response(response_with(status))
    assert (error.permanent, error.affects_service) == (False, True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), (" 0 ", 0), ("", None), (None, None), ("-5", None), ("soon", None), ("²", None)],
)
def test_retry_after_as_a_number_is_in_seconds(text, seconds):
    assert read_retry_after(text) == seconds


def test_retry_after_as_a_date_gives_the_seconds_until_then():
    with time_machine.travel("2026-11-20T08:00:00Z", tick=False):
        assert read_retry_after("Fri, 20 Nov 2026 08:01:30 GMT") == 90
        assert read_retry_after("Fri, 20 Nov 2026 10:01:30 +0200") == 90
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00") == 0


@given(st.text())
def test_any_retry_after_gives_seconds_or_none(text):
    seconds = read_retry_after(text)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (requests.exceptions.SSLError("https://secret"), "certificate"),
        (requests.ReadTimeout("https://secret"), "timeout"),
        (requests.ConnectTimeout("https://secret"), "timeout"),
        (requests.ConnectionError("https://secret"), "no connection"),
        (requests.exceptions.ChunkedEncodingError("https://secret"), "no connection"),
        (requests.exceptions.InvalidURL("https://secret"), "InvalidURL"),
    ],
)
def test_exception_of_requests_gives_a_code_without_the_url(error, code):
    assert error_code(error) == code
