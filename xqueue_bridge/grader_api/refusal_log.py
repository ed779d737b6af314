"""Log lines about refused requests of graders: what, which, and why; never what was posted."""

from __future__ import annotations

import logging

from rest_framework.request import Request

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.protocol.fields import text_field
from xqueue_bridge.protocol.headers import parse_lease_header
from xqueue_bridge.submission_queue.accounts import Principal
from xqueue_bridge.submission_queue.models import Submission

log = logging.getLogger(__name__)


def log_refusal(request: Request, fields: object, message: str, reason: object) -> None:
    """Log one refused request. At most one SELECT, for the submission that a result names.

    ``fields``: the parsed body; None if there is none, or if it could not be parsed.
    """
    parts = [endpoint_of(request), grader_of(request)]
    if fields is not None:
        parts.append(_submission(fields))
    about = ", ".join(part for part in parts if part)
    # %r, because a message may repeat the queue name that the client has sent.
    log.warning("Refused a grader's request (%s): %r (%s)", about, message, reason)


def log_unreadable(request: Request, error: Exception) -> None:
    """Log a request whose body cannot be read; ``error`` is named by its class."""
    about = ", ".join(part for part in (endpoint_of(request), grader_of(request)) if part)
    log.warning("A grader's request cannot be read (%s): %s", about, type(error).__name__)


def endpoint_of(request: Request) -> str:
    match = request.resolver_match
    return request.path.rstrip("/").rpartition("/")[2] if match else ""


def grader_of(request: Request) -> str:
    return f"grader {request.auth.grader_id}" if isinstance(request.auth, Principal) else ""


def _submission(fields: object) -> str:
    """Return a text with id, queue, learner and block of the submission that the body names."""
    try:
        submission_id = parse_lease_header(text_field(fields, "xqueue_header")).submission_id
    except InvalidField:
        return "no submission named"
    row = (
        Submission.objects.filter(pk=submission_id)
        .values_list("queue_name", "user_id", "usage_key")
        .first()
    )
    if row is None:
        return f"submission {submission_id}"
    queue_name, user_id, usage_key = row
    return f"submission {submission_id} of queue {queue_name!r}, learner {user_id}, {usage_key}"
