"""Findings about the site's public addresses: that of graders, and the callback URL."""

from __future__ import annotations

from collections.abc import Iterator

import requests
from django.conf import settings
from django.urls import Resolver404, resolve, reverse
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.data import Dispatch
from xqueue_bridge.doctor.finding import Finding
from xqueue_bridge.http_client import HTTP_ERRORS, HTTPSession, error_code, post
from xqueue_bridge.lms.callback_url import build_path
from xqueue_bridge.protocol.fields import read_json
from xqueue_bridge.xqueue_service.api import XQueueService, has_legacy_server

#: Seconds to connect, and seconds between two parts of a response.
TIMEOUTS = (3.05, 5)
#: A course, block and learner that no site has: the callback is tried without changing anything.
_COURSE = CourseKey.from_string("course-v1:xqueue-bridge+doctor+1")
_BLOCK = UsageKey.from_string("block-v1:xqueue-bridge+doctor+1+type@problem+block@doctor")
_ROOT_ADVICE = "LMS_ROOT_URL = the address of the site, as graders use it"
_PREFIX_ADVICE = (
    "XQUEUE_INTERFACE['callback_url'], else LMS_ROOT_URL = the address of the LMS, as the XQueue "
    "server uses it"
)
#: Most bytes that are read of a response.
_MOST_BYTES = 1000


def address() -> Iterator[Finding]:
    """Whether graders reach this site at LMS_ROOT_URL."""
    root = getattr(settings, "LMS_ROOT_URL", None)
    if not root:
        return  # a system check reports it
    url = root.rstrip("/") + reverse("xqueue_bridge:status")
    try:
        with (
            HTTPSession() as session,
            session.get(url, timeout=TIMEOUTS, allow_redirects=False, stream=True) as response,
        ):
            status = response.status_code
            is_ours = status == 200 and read_json(_beginning(response)).get("content") == "OK"
    except (*HTTP_ERRORS, AttributeError) as exc:
        text = f"{url} cannot be read: {type(exc).__name__}"
        yield Finding("address", text, _ROOT_ADVICE, True)
        return
    if is_ours:
        yield Finding("address", f"{url} responds")
    else:
        advice = "let the web server pass /xqueue/ on to the LMS, and not redirect it"
        yield Finding("address", f"{url}: status {status}", advice, True)


def callback() -> Iterator[Finding]:
    """Whether an XQueue server reaches the callback URL, and what responds there.

    An empty form is posted: our view and the platform's respond 404 to it. An error if a legacy
    XQueue server is configured; results of the submissions table need no callback.
    """
    prefix = XQueueService.callback_prefix()
    if not prefix:
        return  # a system check reports it
    path = build_path(_COURSE, 0, _BLOCK, Dispatch.SCORE_UPDATE)
    is_error = has_legacy_server()
    try:
        view = resolve(path).func.__module__
    except Resolver404:
        advice = 'urlpatterns += [path("", include("xqueue_bridge.urls"))]'
        yield Finding("callback", "no URL pattern of this site is the callback's", advice, is_error)
        return
    try:
        with post(prefix + path, data={}, timeout=TIMEOUTS, stream=True) as response:
            status, location = response.status_code, response.headers.get("Location", "")
            text = _beginning(response).decode("utf-8", "replace")
    except HTTP_ERRORS as exc:
        yield Finding("callback", f"{prefix}: {error_code(exc)}", _PREFIX_ADVICE, is_error)
        return
    yield _finding(f"{prefix}/courses/.../xqueue/...", view, status, location, text, is_error)


def _beginning(response: requests.Response) -> bytes:
    return next(response.iter_content(_MOST_BYTES), b"")


def _finding(url: str, view: str, status: int, location: str, text: str, is_error: bool) -> Finding:
    is_ours = view.startswith("xqueue_bridge.")
    if status == 404 and (text.startswith("xqueue_header") or not is_ours):
        name = "the bridge" if is_ours else view
        return Finding("callback", f"{url}: {name} responds")
    if 300 <= status < 400:
        target = "with https" if location.startswith("https://") else "elsewhere"
        found = f"{url} redirects {target} (status {status}): a posted result is lost"
    else:
        found = f"{url}: status {status}, not from the callback's view"
    if status in (401, 403):
        advice = "let the proxy or firewall pass POST /courses/.../xqueue/ without a login"
    elif status in (301, 302, 307, 308) and location.startswith("https://"):
        advice = "XQUEUE_INTERFACE['callback_url'] or LMS_ROOT_URL = the address with https://"
    elif status >= 500:
        advice = "the proxy does not reach the LMS: see its log"
    else:
        advice = "let the web server pass /courses/ on to the LMS; " + _PREFIX_ADVICE
    return Finding("callback", found, advice, is_error)
