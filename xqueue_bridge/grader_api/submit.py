"""The endpoint submit of the XQueue protocol, for processes that know no other transport.

An LMS whose ``XQUEUE_INTERFACE["url"]`` is this site, and other submitters, find a complete XQueue
server here. Graders pull what they submit; the result is posted to the submitter's callback URL.
"""

from __future__ import annotations

import logging

from django.core.exceptions import SuspiciousOperation
from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from xqueue_bridge.conf import options
from xqueue_bridge.data import NewSubmission, UploadedFile, XHeader
from xqueue_bridge.exceptions import (
    InvalidField,
    InvalidHeader,
    QueueNotFound,
    RequestRefused,
    SendError,
    TooManyPending,
)
from xqueue_bridge.grader_api.request_body import (
    can_be_streamed,
    content_length,
    media_type,
    prepare_body,
)
from xqueue_bridge.grader_api.responses import Envelope, failure, success
from xqueue_bridge.grader_api.views import XQueueView
from xqueue_bridge.grader_replies.backends.callback import may_post_to
from xqueue_bridge.lms.callback_url import read_url
from xqueue_bridge.log_fields import LogFields, about, named
from xqueue_bridge.protocol import fields as protocol_fields
from xqueue_bridge.protocol.headers import SITES_HEADER, parse_xheader
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.xqueue_service.submission_filter import filter_submission
from xqueue_bridge.xqueue_service.toggles import use_edx_submissions_for_xqueue
from xqueue_bridge.xqueue_service.transports.base import check_body, read_files
from xqueue_bridge.xqueue_service.transports.legacy_xqueue import LegacyXQueue

log = logging.getLogger(__name__)

# Messages of the protocol, which submitters compare verbatim.
INVALID = "Queue request has invalid format"
WRONG_METHOD = "Queue requests should use HTTP POST"
NOT_FOUND = "Queue '{}' not found"
NOT_ALLOWED = "This account may not submit"
TOO_MANY_PENDING = "The learner has the maximum of pending answers to this problem: {}"
NOT_STORED = "The submission could not be stored"
CIRCLE = "The queue server forwards submissions to itself"

#: Most sites that forward a submission one after the other.
MAX_SITES = 5


class SubmitView(XQueueView):
    """Take one submission with its files into our table, or forward it to the legacy server."""

    unreadable = INVALID
    wrong_method = WRONG_METHOD

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        if media_type(request._request) != "multipart/form-data":
            super().initial(request, *args, **kwargs)
            return
        # Read by Django's parser, which keeps large files out of memory; bounded here in all.
        super(XQueueView, self).initial(request, *args, **kwargs)
        limits = options()
        most = limits.MAX_FILES * limits.MAX_FILE_BYTES + 2 * limits.MAX_BODY_BYTES
        try:
            if not can_be_streamed(request._request):
                prepare_body(request._request, most)
            is_too_large = content_length(request._request) > most
        except InvalidField as exc:
            raise RequestRefused(self.unreadable) from exc
        if is_too_large:
            raise SuspiciousOperation("The files are too large.")

    def get(self, request: Request) -> Envelope:
        return failure(self.wrong_method)

    def post(self, request: Request) -> Envelope:
        if not self.grader.may_submit:
            account = self.grader.grader_id
            extra = LogFields(grader_id=account)
            log.warning("Account %s may not submit: see may_submit", account, extra=extra)
            return failure(NOT_ALLOWED)
        try:
            header = parse_xheader(protocol_fields.text_field(self.fields, "xqueue_header"))
            body = check_body(protocol_fields.text_field(self.fields, "xqueue_body"))
            files = _uploads(request)
            header, body = filter_submission(header, body, files)
            new = _submission(header, body, files)
        except SendError as refusal:
            return failure(str(refusal))
        except (InvalidField, InvalidHeader) as exc:
            raise RequestRefused(INVALID) from exc
        if _is_forwarded(new):
            return _forward(header, new, request.headers.get(SITES_HEADER, ""))
        try:
            return success(str(queue.enqueue(new)))
        except InvalidField as exc:
            raise RequestRefused(INVALID) from exc
        except QueueNotFound:
            self._log_refusal(logging.WARNING, "unknown queue", new)
            return failure(NOT_FOUND.format(header.queue_name))
        except TooManyPending as full:
            self._log_refusal(logging.WARNING, "MAX_PENDING_ANSWERS", new)
            return failure(TOO_MANY_PENDING.format(full.number))
        except Exception as exc:  # database or storage; the message may quote the submission
            self._log_refusal(logging.ERROR, type(exc).__name__, new)
            return failure(NOT_STORED)

    def _log_refusal(self, level: int, reason: str, new: NewSubmission) -> None:
        """Log why a submission was not stored, with account, queue, learner id and block."""
        account, fields = self.grader.grader_id, about(new.target, new.queue_name)
        log.log(
            level,
            "A submission was not stored: %s (account %s, %s)",
            reason,
            account,
            named(fields),
            extra=fields | LogFields(grader_id=account),
        )


def _uploads(request: Request) -> tuple[UploadedFile, ...]:
    """Return the files; the name of the part is the file's name, as submitters send it."""
    named = []
    for name, several in request.FILES.lists():
        for file in several:
            file.name = name
            named.append(file)
    return read_files(named)


def _submission(header: XHeader, body: str, files: tuple[UploadedFile, ...]) -> NewSubmission:
    target = read_url(header.lms_callback_url)
    if not may_post_to(header.lms_callback_url):
        raise InvalidHeader("lms_callback_url", "is below none of CALLBACK_PREFIXES")
    return NewSubmission(
        target=target,
        queue_name=header.queue_name,
        queue_key=header.queue_key,
        header=header.text,
        body=body,
        files=files,
        answers_by_callback=True,
    )


def _is_forwarded(new: NewSubmission) -> bool:
    """Return whether the course uses the legacy server, if there is one besides this site."""
    if not options().LEGACY_XQUEUE_INTERFACE.get("url"):
        return False
    return not use_edx_submissions_for_xqueue(new.target.course_key)


def _forward(header: XHeader, new: NewSubmission, sites: str) -> Envelope:
    """Send a submission on; the legacy server posts its result to the callback URL itself.

    Refuse one that this site has forwarded before, which would occupy one web worker after another.
    """
    ours, former = _site_id(), [each for each in sites.split(",") if each]
    if ours in former or len(former) >= MAX_SITES:
        log.error(
            "A submission was forwarded in a circle: XQUEUE_BRIDGE['LEGACY_XQUEUE_INTERFACE']"
            "['url'] leads back to this site."
        )
        return failure(CIRCLE)
    try:
        server = LegacyXQueue(sites=[*former, ours])
        return_code, content = server.send(header, new.body, new.files)
    except SendError as exc:
        return failure(str(exc))
    return success(content) if return_code == 0 else failure(content)


def _site_id() -> str:
    """Return a text that all processes of this site have, and no other site."""
    return salted_hmac("xqueue_bridge.forwarding", "site", algorithm="sha256").hexdigest()[:16]
