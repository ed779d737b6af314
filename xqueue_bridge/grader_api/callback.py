"""The view xqueue_callback, to which a legacy XQueue server posts replies.

URL and parameters are the LMS's own. The request is not authenticated: a reply is applied only
if the learner's state waits for its queue key.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_api.request_body import prepare_body
from xqueue_bridge.lms.callback_url import read_parts
from xqueue_bridge.protocol.fields import text_field
from xqueue_bridge.protocol.headers import parse_callback_header
from xqueue_bridge.submission_queue import legacy
from xqueue_bridge.worker.enqueue import defer_jobs, run_later

log = logging.getLogger(__name__)

#: Exceptions of reading a malformed, oversized, truncated or undecodable form. Django mails some
#: of these to the admins, and anonymous clients can trigger them.
_UNREADABLE = (
    BadRequest,
    LookupError,
    MultiPartParserError,
    SuspiciousOperation,
    UnicodeError,
    UnreadablePostError,
)


class CallbackResponse(HttpResponse):
    """A line of plain text; ``jobs`` run after it has been sent."""

    def __init__(self, status: int, text: object) -> None:
        super().__init__(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
        self.jobs: list[Callable[[], object]] = []

    def close(self) -> None:
        # Before Django sends request_finished and closes its database connections.
        run_later(self.jobs)
        super().close()


@csrf_exempt
@sensitive_post_parameters()
@transaction.non_atomic_requests
def xqueue_callback(
    request: HttpRequest, course_id: str, userid: str, mod_id: str, dispatch: str
) -> HttpResponse:
    """Store one reply. The status tells the queue server whether to repeat the request.

    200: stored; it is applied after the response. 404: no such learner, block or dispatch, or a
    field is missing. 400: a field cannot be read. 403: graders pull this submission from the
    Submission table, so no queue server has a reply to it. 409, 413: too many replies to this
    submission, or too large. 503: try again later.
    """
    try:
        prepare_body(request)
        form = request.POST
    except InvalidField as exc:
        return _respond(request, 400, exc)
    except _UNREADABLE as exc:
        return _respond(request, 400, f"the form cannot be read: {type(exc).__name__}")
    try:
        target = read_parts(course_id, userid, mod_id, dispatch)
        text = text_field(form, "xqueue_header")
        body = text_field(form, "xqueue_body")
    except InvalidField as exc:
        return _respond(request, 404, exc)
    try:
        header = parse_callback_header(text)
    except InvalidField as exc:
        return _respond(request, 400, exc)
    with defer_jobs() as jobs:
        receipt = legacy.receive(target, header, body)
    response = _respond(request, receipt.status, receipt.text)
    response.jobs = jobs
    return response


def _respond(request: HttpRequest, status: int, text: object) -> CallbackResponse:
    response = CallbackResponse(status, text)
    if status != 200:
        # The path names the course, the learner's id, the block and the dispatch.
        log.warning("XQueue callback refused (%s): %s (%.600r)", status, text, request.path)
        # Prevents Django from logging again and mailing each 503, which any client can cause.
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response
