"""Our access token for Credentials: OAuth2 client credentials, from the LMS's token endpoint."""

from __future__ import annotations

import threading
import time

import requests

from xqueue_bridge import http_client
from xqueue_bridge.credentials.errors import GradeSendError
from xqueue_bridge.option_groups import CredentialsOptions
from xqueue_bridge.protocol.fields import read_json

#: A token is replaced this long before it expires, or a tenth of its lifetime.
MARGIN_SECONDS = 30.0
LONGEST_SECONDS = 86_400.0

#: (token endpoint, client) -> (token, when to replace it). In this process's memory only: a
#: shared cache would store one more copy of a secret.
_tokens: dict[tuple[str, str], tuple[str, float]] = {}
_fetching = threading.Lock()


def access_token(service: CredentialsOptions, *, instead_of: str | None = None) -> str:
    """Return a token that has not expired; one request if none is cached.

    ``instead_of`` is a token that was refused: another one is returned. Raises GradeSendError.
    """
    key = (service.TOKEN_URL, service.CLIENT_ID)
    with _fetching:
        token, renew_at = _tokens.get(key, (None, 0.0))
        if token is None or token == instead_of or time.monotonic() >= renew_at:
            _tokens.pop(key, None)
            token, seconds = _fetch(service)
            margin = min(MARGIN_SECONDS, seconds / 10)
            _tokens[key] = token, time.monotonic() + seconds - margin
        return token


def _fetch(service: CredentialsOptions) -> tuple[str, float]:
    form = {
        "grant_type": "client_credentials",
        "client_id": service.CLIENT_ID,
        "client_secret": service.CLIENT_SECRET,
        "token_type": "jwt",
    }
    try:
        response = http_client.post(service.TOKEN_URL, data=form, timeout=service.timeouts)
    except http_client.HTTP_ERRORS as exc:
        raise GradeSendError(f"token: {http_client.error_code(exc)}") from None
    if response.status_code != 200:
        # A wrong secret is a configuration error, not a fault of the grade: it can be corrected.
        raise GradeSendError(f"token: HTTP {response.status_code}")
    return _read(response)


def _read(response: requests.Response) -> tuple[str, float]:
    try:
        content = read_json(response.content)
        token, seconds = content["access_token"], float(content.get("expires_in", 300))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise GradeSendError("token: unreadable") from None
    is_token = isinstance(token, str) and token.isascii() and token.isprintable()
    if not (token and is_token and seconds > 0):
        raise GradeSendError("token: unreadable")
    return token, min(seconds, LONGEST_SECONDS)
