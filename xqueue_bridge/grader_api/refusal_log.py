"""Log lines about refused requests of graders: what, which, and why; never what was posted."""

from __future__ import annotations

import logging

from rest_framework.request import Request

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.log_fields import LogFields, Step, named
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
    extra = LogFields(step=Step.REFUSED)
    if fields is not None:
        extra |= _submission(fields)
        parts.append(named(extra) or "no submission named")
    extra |= _grader(request)
    about = ", ".join(part for part in parts if part)
    # %r, because a message may repeat the queue name that the client has sent.
    log.warning("Refused a grader's request (%s): %r (%s)", about, message, reason, extra=extra)


def log_unreadable(request: Request, error: Exception) -> None:
    """Log a request whose body cannot be read; ``error`` is named by its class."""
    about = ", ".join(part for part in (endpoint_of(request), grader_of(request)) if part)
    name, extra = type(error).__name__, _grader(request)
    log.warning("A grader's request cannot be read (%s): %s", about, name, extra=extra)


def endpoint_of(request: Request) -> str:
    match = request.resolver_match
    return request.path.rstrip("/").rpartition("/")[2] if match else ""


def grader_of(request: Request) -> str:
    return f"grader {request.auth.grader_id}" if isinstance(request.auth, Principal) else ""


def _grader(request: Request) -> LogFields:
    if isinstance(request.auth, Principal):
        return LogFields(grader_id=request.auth.grader_id)
    return LogFields()


def _submission(fields: object) -> LogFields:
    """Return id, queue, learner and block of the submission that the body names."""
    try:
        submission_id = parse_lease_header(text_field(fields, "xqueue_header")).submission_id
    except InvalidField:
        return LogFields()
    found = LogFields(submission_id=submission_id)
    row = (
        Submission.objects.filter(pk=submission_id)
        .values("queue_name", "user_id", "course_key", "usage_key")
        .first()
    )
    return found | LogFields(**row) if row else found
