"""The protocol call put_result: parse the result, match its lease, store the reply.

The reply is stored in one short transaction and acknowledged. It is applied to the learner's
state afterwards, and an error there never makes a grader grade again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from xqueue_bridge.conf import options
from xqueue_bridge.data import Dispatch, GraderReply
from xqueue_bridge.exceptions import InvalidField, InvalidReply, RequestRefused
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.protocol.fields import json_object, text_field
from xqueue_bridge.submission_queue.accounts import Principal
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.queue import pullkey_digest
from xqueue_bridge.submission_queue.states import Status, sources_of

log = logging.getLogger(__name__)

# Messages of the protocol, which graders compare verbatim.
BAD_FORMAT = "Incorrect reply format"
NO_SUBMISSION = "Submission does not exist"
WRONG_KEY = "Incorrect key for submission"
HAS_RESULT = "Submission already has a result"

_NUMERIC_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Lease:
    """The lease that a grader names in its result."""

    submission_id: int
    pullkey_digest: str


@dataclass(frozen=True)
class ParsedResult:
    """A parsed result: a reply valid for these dispatches, an error, or both."""

    body: str
    problem: InvalidReply | None
    reply: GraderReply | None = None
    answers: tuple[Dispatch, ...] = ()


def put_result(grader: Principal, fields: object) -> None:
    """Store a grader's result.

    ``fields`` is the parsed request body: a mapping with the texts ``xqueue_header`` and
    ``xqueue_body``. Raise RequestRefused if the result is not accepted.
    """
    try:
        lease = parse_lease(text_field(fields, "xqueue_header"))
        body = text_field(fields, "xqueue_body")
    except InvalidField as exc:
        raise RequestRefused(BAD_FORMAT) from exc
    understood = understand(body)
    if _accept(grader, lease, understood):
        return
    if understood.problem is not None and _refuse(grader, lease, understood):
        raise RequestRefused(BAD_FORMAT) from understood.problem
    _diagnose(grader, lease, body)


def parse_lease(header: str) -> Lease:
    """Parse the xqueue_header of a result: ``{"submission_id", "submission_key"}``."""
    members = json_object(header, "xqueue_header")
    submission_id = members.get("submission_id")
    # Several clients return the id as text.
    if isinstance(submission_id, str) and _NUMERIC_ID.fullmatch(submission_id):
        submission_id = int(submission_id)
    if type(submission_id) is not int or not 0 <= submission_id <= _LARGEST_ID:
        raise InvalidField("xqueue_header.submission_id", "must be the number that was handed out")
    pullkey = members.get("submission_key")
    if not isinstance(pullkey, str):
        raise InvalidField("xqueue_header.submission_key", "must be the text that was handed out")
    return Lease(submission_id, pullkey_digest(pullkey))


def understand(body: str) -> ParsedResult:
    """Parse the xqueue_body of a result.

    A trial run needs no grade, but only the Submission row says whether it was one.
    """
    if len(body.encode("utf-8", "surrogatepass")) > options().MAX_REPLY_BYTES:
        return ParsedResult(body, InvalidReply("xqueue_body", "is longer than MAX_REPLY_BYTES"))
    try:
        return ParsedResult(body, None, grader_replies.parse_reply(body), tuple(Dispatch))
    except InvalidReply as invalid:
        problem = invalid
    try:
        output = grader_replies.parse_reply(body, graded=False)
    except InvalidReply:
        return ParsedResult(body, problem)
    return ParsedResult(body, problem, output, (Dispatch.UNGRADED_RESPONSE,))


def _accept(grader: Principal, lease: Lease, understood: ParsedResult) -> bool:
    reply = understood.reply
    if reply is None:
        return False

    def answer() -> bool:
        answered = (
            _held(grader, lease, sources_of(Status.ANSWERED))
            .filter(dispatch__in=understood.answers)
            .update(status=Status.ANSWERED, available_at=None, finished_at=timezone.now())
        )
        if answered:
            grader_replies.store_reply(
                lease.submission_id, "put_result", understood.body, reply=reply
            )
        return bool(answered)

    # Retried after a deadlock.
    answered = learner_state.in_transaction(answer)
    if answered:
        log.info("Submission %s answered by grader %s", lease.submission_id, grader.grader_id)
    return answered


def _refuse(grader: Principal, lease: Lease, understood: ParsedResult) -> bool:
    """Store the invalid reply for operators and end the lease, so that graders can pull again."""
    soon = timezone.now() + timedelta(seconds=options().INVALID_REPLY_RETRY_DELAY)
    with transaction.atomic():
        released = _held(grader, lease, (Status.LEASED,)).update(
            pullkey_digest="", available_at=soon
        )
        if released:
            grader_replies.store_reply(
                lease.submission_id,
                "put_result",
                understood.body,
                reply=None,
                error=str(understood.problem),
            )
    return bool(released)


def _held(grader: Principal, lease: Lease, statuses: Sequence[Status]) -> QuerySet[Submission]:
    return Submission.objects.filter(
        grader.submissions_filter(),
        pk=lease.submission_id,
        pullkey_digest=lease.pullkey_digest,
        status__in=statuses,
    )


def _diagnose(grader: Principal, lease: Lease, body: str) -> None:
    """Raise the protocol error that explains why the lease does not match.

    A repeated result, and a result that arrives after the learner's retirement, are acknowledged
    without an error, because the grader could not correct either.
    """
    submission = (
        Submission.objects.filter(grader.submissions_filter(), pk=lease.submission_id)
        .only("pullkey_digest", "status")
        .first()
    )
    if submission is None:
        raise RequestRefused(NO_SUBMISSION)
    if not constant_time_compare(submission.pullkey_digest, lease.pullkey_digest):
        raise RequestRefused(WRONG_KEY)
    if submission.status == Status.RETIRED:
        grader_replies.discard_late_reply(submission.pk, "put_result")
        return
    if submission.status != Status.ANSWERED or not grader_replies.is_answer(submission.pk, body):
        raise RequestRefused(HAS_RESULT)
