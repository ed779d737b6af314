"""HTTP requests to other services: time limits, no ~/.netrc, and errors that are safe to log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

#: Seconds to connect, and seconds between two parts of the response.
TIMEOUTS = (3.05, 10.0)

#: What a request raises. requests raises ValueError for some URLs that it cannot parse.
HTTP_ERRORS = (requests.RequestException, ValueError)

Auth = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class HTTPSession(requests.Session):
    """A session that signs requests with ``auth``, and never with a password of ~/.netrc.

    ``trust_env`` stays on, because sites reach other services through the proxies and with the
    certificates that the environment names.
    """

    def __init__(self, auth: Auth | None = None) -> None:
        super().__init__()
        # With no auth at all, requests looks into ~/.netrc.
        self.auth = auth or _unchanged

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Remove the password from a request that is redirected to another host."""
        url, former = prepared_request.url or "", response.request.url or ""
        if self.should_strip_auth(former, url):
            prepared_request.headers.pop("Authorization", None)


def post(
    url: str, *, auth: Auth | None = None, timeout: tuple[float, float] = TIMEOUTS, **kwargs: Any
) -> requests.Response:
    """POST once, without following a redirect, which would make a GET of it.

    Raise one of HTTP_ERRORS. With ``stream=True`` the caller closes the response.
    """
    with HTTPSession(auth) as session:
        return session.post(url, timeout=timeout, allow_redirects=False, **kwargs)


def error_code(error: Exception) -> str:
    """Return the kind of a failed request, without its message, which can contain the URL."""
    if isinstance(error, requests.exceptions.SSLError):
        return "certificate"
    if isinstance(error, requests.Timeout):
        return "timeout"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "no connection"
    return type(error).__name__[:20]


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
