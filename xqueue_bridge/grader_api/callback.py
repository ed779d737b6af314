"""The view xqueue_callback, to which a legacy XQueue server posts replies.

URL and parameters are the LMS's own. The request is not authenticated: a reply is applied only
if the learner's state waits for its queue key.
"""

from __future__ import annotations

import logging

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters

from xqueue_bridge.data import Target
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_api.request_body import prepare_body
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms.callback_url import read_parts
from xqueue_bridge.lms.users import user_exists
from xqueue_bridge.protocol.fields import is_valid_text, json_object, text_field
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.results import parse_result
from xqueue_bridge.submission_queue.states import Status

log = logging.getLogger(__name__)

#: Maximum of pending replies to one learner's block, and of different replies to one submission.
#: Real replies are applied within seconds, so only an abusive client reaches the limit.
REPLIES_LIMIT = 16

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


@csrf_exempt
@sensitive_post_parameters()
@transaction.non_atomic_requests
def xqueue_callback(
    request: HttpRequest, course_id: str, userid: str, mod_id: str, dispatch: str
) -> HttpResponse:
    """Store one reply. The status tells the queue server whether to repeat the request.

    200: stored, and applied or not as the text says. 404: no such learner, block or dispatch,
    or a field is missing. 400: a field cannot be read. 403: graders pull this submission from
    the Submission table, so no queue server has a reply to it. 503: try again later.
    """
    try:
        prepare_body(request)
        form = request.POST
    except InvalidField as exc:
        return _answer(400, exc)
    except _UNREADABLE as exc:
        return _answer(400, f"the form cannot be read: {type(exc).__name__}")
    try:
        target = read_parts(course_id, userid, mod_id, dispatch)
        header = text_field(form, "xqueue_header")
        body = text_field(form, "xqueue_body")
    except InvalidField as exc:
        return _answer(404, exc)
    try:
        queue_key, queue_name = parse_header(header)
    except InvalidField as exc:
        return _answer(400, exc)
    if _uses_submissions_table(target, queue_key):
        return _answer(403, "this submission is answered by put_result")
    submission = find_submission(target, queue_key)
    if learner_state.is_retired(target.user_id):
        return _answer(200, _discard(target, submission))
    if not user_exists(target.user_id):
        if submission is None:
            return _answer(404, "userid: no such learner")
        return _answer(200, _discard(target, submission))
    if submission is None:
        if _undelivered(target) >= REPLIES_LIMIT:
            return _answer(503, "too many replies wait for this block")
        submission = create_legacy_submission(target, queue_key, queue_name, header)
    elif grader_replies.record_if_duplicate(submission.pk, body):
        return _answer(200, "this reply was received before")
    elif submission.replies.count() >= REPLIES_LIMIT:
        return _answer(503, "too many replies to this submission")
    return _answer(200, _store_and_apply(submission, body))


def parse_header(header: str) -> tuple[str, str]:
    """Return queue key and queue name of the LMS's header, as the queue server returns it."""
    members = json_object(header, "xqueue_header")
    queue_key, queue_name = members.get("lms_key"), members.get("queue_name", "")
    for name, value, longest in (("lms_key", queue_key, 255), ("queue_name", queue_name, 128)):
        if not isinstance(value, str) or len(value) > longest or not is_valid_text(value):
            raise InvalidField(f"xqueue_header.{name}", "must be the text that was sent")
    if not queue_key:
        raise InvalidField("xqueue_header.lms_key", "is empty")
    return queue_key, queue_name


def _uses_submissions_table(target: Target, queue_key: str) -> bool:
    """Return whether graders pull this submission from the Submission table with a pullkey."""
    return Submission.objects.filter(
        user_id=target.user_id,
        usage_key=target.usage_key,
        queue_key=queue_key,
        transport=Submission.Transport.TABLE,
    ).exists()


def find_submission(target: Target, queue_key: str) -> Submission | None:
    """Return the newest submission with this block and queue key, or None."""
    return (
        Submission.objects.filter(
            user_id=target.user_id,
            usage_key=target.usage_key,
            dispatch=target.dispatch,
            queue_key=queue_key,
            transport=Submission.Transport.LEGACY,
        )
        .order_by("-pk")
        .first()
    )


def create_legacy_submission(
    target: Target, queue_key: str, queue_name: str, header: str
) -> Submission:
    """Create the Submission row for a reply whose submission was sent through legacy XQueue."""
    now = timezone.now()
    with transaction.atomic():
        content = SubmissionContent.objects.create(header=header, body="")
        return Submission.objects.create(
            content=content,
            transport=Submission.Transport.LEGACY,
            queue_name=queue_name,
            status=Status.ANSWERED,
            user_id=target.user_id,
            course_key=target.course_key,
            usage_key=target.usage_key,
            dispatch=target.dispatch,
            queue_key=queue_key,
            created_at=now,
            finished_at=now,
        )


def _store_and_apply(submission: Submission, body: str) -> str:
    """Store the reply, apply it, and return a text that says whether it was applied."""
    parsed = parse_result(body)
    if submission.dispatch not in parsed.dispatches:
        # An invalid reply never reaches a block. A failure reply ends the learner's waiting.
        with transaction.atomic():
            grader_replies.store_reply(
                submission.pk, "callback", body, reply=None, error=str(parsed.problem)
            )
            notice_id = grader_replies.store_failure_reply(submission.pk)
        grader_replies.apply_reply(notice_id)
        return f"refused, and the learner told so: {parsed.problem}"
    with transaction.atomic():
        reply_id = grader_replies.store_reply(submission.pk, "callback", body, reply=parsed.reply)
    return f"stored: {grader_replies.apply_reply(reply_id).label}"


def _discard(target: Target, submission: Submission | None) -> str:
    """Acknowledge a reply to a retired or deleted learner, because a retry would not help."""
    if submission is not None:
        grader_replies.discard_late_reply(submission.pk, "callback")
    else:
        learner_state.count_late_reply(target.user_id)
    return "received, and rejected: the learner is gone"


def _undelivered(target: Target) -> int:
    return Submission.objects.filter(
        user_id=target.user_id,
        usage_key=target.usage_key,
        transport=Submission.Transport.LEGACY,
        replies__next_attempt_at__isnull=False,
    ).count()


def _answer(status: int, text: object) -> HttpResponse:
    response = HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
    if status != 200:
        log.warning("XQueue callback refused (%s): %s", status, text)
        # Prevents Django from logging again and mailing each 503, which any client can cause.
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response
