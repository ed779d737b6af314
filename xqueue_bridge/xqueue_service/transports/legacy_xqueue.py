"""Transport that posts submissions to a legacy XQueue server over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from requests.auth import HTTPBasicAuth

from xqueue_bridge.conf import options
from xqueue_bridge.data import UploadedFile, XHeader
from xqueue_bridge.exceptions import SendError
from xqueue_bridge.http_client import HTTP_ERRORS, TIMEOUTS, Auth, HTTPSession
from xqueue_bridge.protocol.headers import SITES_HEADER, parse_xreply
from xqueue_bridge.xqueue_service import messages

log = logging.getLogger(__name__)

_POST_BECOMES_GET = (301, 302, 303)
_LOGIN_REQUIRED = "login_required"


class LegacyXQueue:
    """Send submissions to one legacy XQueue server with the LMS's account there.

    Arguments that are None are read from ``XQUEUE_BRIDGE["LEGACY_XQUEUE_INTERFACE"]`` if that is
    set, else from ``XQUEUE_INTERFACE``: ``url``, ``django_auth`` (``username`` and ``password``),
    and ``basic_auth``, a pair for a proxy in front of the server. ``sites`` are the sites that have
    forwarded the submission: see ``forwarding.py``.
    """

    def __init__(
        self,
        url: str | None = None,
        django_auth: Mapping[str, str] | None = None,
        requests_auth: Auth | None = None,
        sites: Sequence[str] = (),
    ) -> None:
        self._headers = {SITES_HEADER: ",".join(sites)} if sites else {}
        host = (
            options().LEGACY_XQUEUE_INTERFACE or getattr(settings, "XQUEUE_INTERFACE", None) or {}
        )
        self._url = (url or host.get("url") or "").rstrip("/")
        self._account = django_auth or host.get("django_auth") or {}
        self._proxy_auth = requests_auth or _basic_auth(host.get("basic_auth"))

    def send(self, header: XHeader, body: str, files: Sequence[UploadedFile]) -> tuple[int, str]:
        """POST one submission; if the server asks for a login, log in and POST again."""
        if not self._url:
            raise SendError(messages.NO_SERVER)
        form = {"xqueue_header": header.text, "xqueue_body": body}
        # A list, because two files may have the same name. The contents are read into memory,
        # because a second POST needs them again.
        parts = [(file.name, (file.name, file.content.read())) for file in files]
        with HTTPSession(self._proxy_auth) as session:
            session.headers.update(self._headers)
            action = "submit"
            error, content = self._post(session, action, form, parts)
            if error and content == _LOGIN_REQUIRED:
                action = "login"
                error, content = self._post(session, action, self._credentials())
                if not error:
                    action = "submit"
                    error, content = self._post(session, action, form, parts)
        if error:
            # The server's text is not logged, because it can repeat the submission.
            log.error("XQueue %s refused: return code %s", action, error)
        return error, self._for_learners(content, header.queue_key)

    def _post(
        self,
        session: HTTPSession,
        action: str,
        form: Mapping[str, str],
        parts: Sequence[tuple[str, tuple[str, bytes]]] = (),
    ) -> tuple[int, str]:
        url = f"{self._url}/xqueue/{action}/"
        try:
            response = session.post(url, data=form, files=parts, timeout=TIMEOUTS)
            text = _decode(response)
        except HTTP_ERRORS as exc:
            # Only the exception's type: its message can hold the URL with a password in it.
            log.error("XQueue %s failed: %s", action, type(exc).__name__)
            raise SendError(_reason(exc)) from None
        _refuse_lost_post(action, response)
        if response.status_code != requests.codes.ok:
            log.error("XQueue %s failed: HTTP status %s", action, response.status_code)
            raise SendError(messages.fill(messages.UNEXPECTED_STATUS, response.status_code))
        return parse_xreply(text)

    def _credentials(self) -> dict[str, str]:
        return {name: self._account.get(name, "") for name in ("username", "password")}

    def _for_learners(self, content: str, queue_key: str) -> str:
        """Return the server's text, or a default if it repeats a secret or has no harmless part."""
        secrets = (
            self._account.get("password"),
            getattr(self._proxy_auth, "password", None),
            queue_key,
        )
        if any(secret and secret in content for secret in secrets):
            return messages.UNEXPECTED_RESPONSE
        return messages.harmless(content) or messages.UNEXPECTED_RESPONSE


def _decode(response: requests.Response) -> str:
    """Return the text of a response, without a byte order mark. JSON is UTF-8 whatever it says."""
    try:
        return response.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return response.text


def _refuse_lost_post(action: str, response: requests.Response) -> None:
    """Raise SendError if the server redirected a POST to the same path, as from http to https.

    The redirected request is a GET without the submission; its response says nothing about it.
    """
    for hop in response.history:
        to = urlsplit(hop.headers.get("location", ""))
        is_lost = hop.request.method == "POST" and hop.status_code in _POST_BECOMES_GET
        if is_lost and to.path.rstrip("/") == urlsplit(hop.url).path.rstrip("/"):
            # Without user name and password, which a URL may hold.
            address = f"{to.scheme}://{to.hostname}" if to.hostname else to.path
            log.error(
                "XQueue %s failed: the server redirects to %s (HTTP status %s). Set "
                "XQUEUE_INTERFACE['url'] to the address that it redirects to.",
                action,
                address,
                hop.status_code,
            )
            raise SendError(messages.fill(messages.UNEXPECTED_STATUS, hop.status_code))


def _basic_auth(pair: Any) -> Auth | None:
    return HTTPBasicAuth(*pair) if pair else None


def _reason(fault: Exception) -> object:
    if isinstance(fault, requests.ConnectionError):
        return messages.NO_CONNECTION
    if isinstance(fault, requests.Timeout | requests.exceptions.ChunkedEncodingError):
        return messages.NO_RESPONSE
    return messages.UNEXPECTED_RESPONSE
