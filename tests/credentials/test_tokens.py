"""Access tokens: one for many requests, until it expires or is refused."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.doubles.credentials import CLIENT_SECRET, DROPPED, Fault
from xqueue_bridge.credentials import tokens
from xqueue_bridge.credentials.errors import GradeSendError


def test_token_is_reused_until_it_expires(credentials, service, monkeypatch):
    first = tokens.access_token(service)
    assert tokens.access_token(service) == first
    assert len(credentials.token_requests) == 1
    now = time.monotonic()
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now + 3600 - tokens.MARGIN_SECONDS)
    assert tokens.access_token(service) != first


def test_token_request_has_client_id_and_secret(credentials, service):
    tokens.access_token(service)
    assert credentials.token_requests == [
        {
            "grant_type": "client_credentials",
            "client_id": "lms-service",
            "client_secret": CLIENT_SECRET,
            "token_type": "jwt",
        }
    ]


def test_refused_token_is_replaced_once(credentials, service):
    first = tokens.access_token(service)
    second = tokens.access_token(service, instead_of=first)
    assert second != first
    assert tokens.access_token(service, instead_of=first) == second
    assert len(credentials.token_requests) == 2


def test_refused_token_is_not_used_again_if_none_could_be_fetched(credentials, service):
    first = tokens.access_token(service)
    credentials.token_faults = [Fault(500)]
    with pytest.raises(GradeSendError):
        tokens.access_token(service, instead_of=first)
    assert tokens.access_token(service) != first


@pytest.mark.parametrize(
    ("expires_in", "kept_for"), [(1, 0.9), (100, 90), (1000, 970), (10**9, 86_370)]
)
def test_token_is_replaced_before_it_expires_and_each_day(
    credentials, service, monkeypatch, expires_in, kept_for
):
    """The margin is 30 seconds, or a tenth of a short lifetime."""
    body = f'{{"access_token": "first", "expires_in": {expires_in}}}'
    credentials.token_faults = [Fault(200, body=body)]
    now = time.monotonic()
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now)
    assert tokens.access_token(service) == "first"
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now + kept_for - 0.01)
    assert tokens.access_token(service) == "first"
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now + kept_for + 0.01)
    assert tokens.access_token(service) != "first"


def test_eight_threads_fetch_one_token(credentials, service):
    credentials.token_faults = []
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: tokens.access_token(service), range(8)))
    assert len(found) == len(credentials.token_requests) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(500), "token: HTTP 500"),
        (Fault(401), "token: HTTP 401"),
        (Fault(302), "token: HTTP 302"),
        (DROPPED, "token: no connection"),
        (Fault(200, body="no JSON"), "token: unreadable"),
        (Fault(200, body="[]"), "token: unreadable"),
        (Fault(200, body="{}"), "token: unreadable"),
        (Fault(200, body='{"access_token": null, "expires_in": 5}'), "token: unreadable"),
        (Fault(200, body='{"access_token": "", "expires_in": 5}'), "token: unreadable"),
        (Fault(200, body='{"access_token": "a", "expires_in": "x"}'), "token: unreadable"),
        (Fault(200, body='{"access_token": "a", "expires_in": 0}'), "token: unreadable"),
        (Fault(200, body='{"access_token": "a", "expires_in": NaN}'), "token: unreadable"),
        (
            Fault(200, body='{"access_token": "a", "expires_in": 1%s}' % ("0" * 400)),
            "token: unreadable",
        ),
        (Fault(200, body="[" * 100_000), "token: unreadable"),
        (Fault(200, body='{"access_token": "a\\r\\nX: y", "expires_in": 5}'), "token: unreadable"),
    ],
)
def test_error_of_the_token_endpoint_is_transient(credentials, service, fault, code):
    """SG80: the error has a code and no secret; the next request succeeds."""
    credentials.token_faults = [fault]
    with pytest.raises(GradeSendError) as caught:
        tokens.access_token(service)
    assert (caught.value.code, caught.value.permanent) == (code, False)
    assert tokens.access_token(service).startswith("header.")


def test_token_response_after_the_timeout_is_an_error(credentials, service):
    from dataclasses import replace

    credentials.token_faults = [Fault(500, seconds=60)]
    with pytest.raises(GradeSendError, match="token: timeout"):
        tokens.access_token(replace(service, TIMEOUT=0.2))


def test_log_repr_and_error_have_no_secret(credentials, service, caplog):
    caplog.set_level(logging.DEBUG)
    token = tokens.access_token(service)
    credentials.token_faults = [Fault(401)]
    with pytest.raises(GradeSendError) as caught:
        tokens.access_token(service, instead_of=token)
    for text in (caplog.text, repr(service), str(caught.value), repr(caught.value)):
        assert CLIENT_SECRET not in text
        assert token not in text
