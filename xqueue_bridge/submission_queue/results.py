"""The protocol call put_result: parse the result, match its lease, store the reply.

The reply is stored in one short transaction and acknowledged. It is applied to the learner's
state afterwards, and an error there never makes a grader grade again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import cast

from django.db.models import QuerySet
from django.utils.crypto import constant_time_compare

from xqueue_bridge.conf import options, queue_options
from xqueue_bridge.data import GraderReply, LeaseHeader
from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.db.update import Update
from xqueue_bridge.exceptions import InvalidField, RequestRefused
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.lms import filters
from xqueue_bridge.log_fields import LogFields, Step
from xqueue_bridge.protocol.codes import Code
from xqueue_bridge.protocol.fields import text_field
from xqueue_bridge.protocol.headers import parse_lease_header
from xqueue_bridge.protocol.reply_warnings import ReplyWarning
from xqueue_bridge.submission_queue import finish
from xqueue_bridge.submission_queue.accounts import Principal
from xqueue_bridge.submission_queue.models import Submission, pullkey_digest
from xqueue_bridge.submission_queue.parsed_result import (
    ParsedResult,
    filtered,
    parse_result,
    store_stopped,
)
from xqueue_bridge.submission_queue.pauses import count_invalid_reply
from xqueue_bridge.submission_queue.states import Status, finished
from xqueue_bridge.tracing import annotate, traced
from xqueue_bridge.worker.backoff import backoff

log = logging.getLogger(__name__)

#: A superseded submission is still graded by the grader that holds its lease.
_TAKES_RESULT = (Status.LEASED, Status.SUPERSEDED)

# Messages of the protocol, which graders compare verbatim.
BAD_FORMAT = "Incorrect reply format"
NO_SUBMISSION = "Submission does not exist"
WRONG_KEY = "Incorrect key for submission"
HAS_RESULT = "Submission already has a result"
# Our own messages: a legacy XQueue server has no status "failed".
FAILED = "Submission has failed"
FAILED_AND_KEPT = "Submission has failed. The result is kept for the course staff"


@traced("put_result")
def put_result(grader: Principal, fields: object) -> tuple[ReplyWarning, ...]:
    """Store a grader's result, and return what was changed in it.

    ``fields`` is the parsed request body: a mapping with the texts ``xqueue_header`` and
    ``xqueue_body``. Raise RequestRefused if the result is not accepted.
    """
    try:
        lease = parse_lease_header(text_field(fields, "xqueue_header"))
        body = text_field(fields, "xqueue_body")
    except InvalidField as exc:
        raise RequestRefused(BAD_FORMAT) from exc
    annotate(LogFields(submission_id=lease.submission_id, grader_id=grader.grader_id))
    parsed = parse_result(body)
    if parsed.reply is not None and filters.is_configured(filters.RESULT):
        parsed = _filtered(grader, lease, parsed)
    if not _complete(grader, lease, parsed):
        if parsed.problem is not None and _reject(grader, lease, parsed):
            raise RequestRefused(BAD_FORMAT) from parsed.problem
        if _explain_failure(grader, lease, parsed):
            return (ReplyWarning(Code.DUPLICATE, "xqueue_body"),)
    return parsed.reply.warnings if parsed.reply else ()


def _filtered(grader: Principal, lease: LeaseHeader, parsed: ParsedResult) -> ParsedResult:
    """Return the result after the host's filter, if the lease is valid; one statement."""
    held = _leased(grader, lease, _TAKES_RESULT).first()
    return filtered(held.target, held.queue_name, parsed) if held else parsed


def _complete(grader: Principal, lease: LeaseHeader, parsed: ParsedResult) -> bool:
    reply = parsed.reply
    if reply is None:
        return False
    answer = Update(  # as ``_leased`` selects it
        Submission,
        finished(Status.ANSWERED),
        where={"id": lease.submission_id, "pullkey_digest": pullkey_digest(lease.pullkey)},
        among={
            "status": _TAKES_RESULT,
            "dispatch": parsed.dispatches,
            **grader.submissions_among(),
        },
    )
    if parsed.stopped:
        answered = in_transaction(partial(_store_stopped, answer, lease, parsed))
    else:
        reply_id = grader_replies.store_reply(
            lease.submission_id,
            parsed.source,
            parsed.body,
            reply=reply,
            grader_id=grader.grader_id,
            answer=answer,
        )
        answered = reply_id is not None
    if answered:
        log.info(
            "Submission %s answered by grader %s",
            lease.submission_id,
            grader.grader_id,
            extra=LogFields(
                step=Step.ANSWERED,
                submission_id=lease.submission_id,
                grader_id=grader.grader_id,
            ),
        )
    return answered


def _store_stopped(answer: Update, lease: LeaseHeader, parsed: ParsedResult) -> bool:
    answered = bool(answer.execute())
    if answered:
        store_stopped(lease.submission_id, parsed)
    return answered


def _reject(grader: Principal, lease: LeaseHeader, parsed: ParsedResult) -> bool:
    """Store the invalid reply for operators and end the lease, so that graders can pull again."""
    held = _leased(grader, lease, (Status.LEASED,))
    row = held.values_list("queue_name", "deliveries").first()
    if row is None:
        return False
    limits = queue_options(row[0])
    delay = backoff(row[1], limits.REDELIVERY_BACKOFF, limits.REDELIVERY_BACKOFF_MAX, jitter=0)

    def release() -> bool:
        then = DatabaseNow(timedelta(seconds=delay))
        released = held.update(pullkey_digest="", available_at=then, due_at=then)
        if released:
            grader_replies.store_reply(
                lease.submission_id,
                "put_result",
                parsed.body,
                reply=None,
                error=parsed.problem or "",
                grader_id=grader.grader_id,
            )
            count_invalid_reply(grader.grader_id, row[0], lease.submission_id, str(parsed.problem))
        return bool(released)

    return in_transaction(release)


def _leased(
    grader: Principal, lease: LeaseHeader, statuses: Sequence[Status]
) -> QuerySet[Submission]:
    return Submission.objects.filter(
        grader.submissions_filter(),
        pk=lease.submission_id,
        pullkey_digest=pullkey_digest(lease.pullkey),
        status__in=statuses,
    )


def _explain_failure(grader: Principal, lease: LeaseHeader, parsed: ParsedResult) -> bool:
    """Raise the protocol error that explains why the lease does not match.

    A repeated result, and a result that arrives after the learner's retirement, are acknowledged
    without an error, because the grader could not correct either. Return True for the former.
    """
    submission = (
        Submission.objects.filter(grader.submissions_filter(), pk=lease.submission_id)
        .only(
            *("pullkey_digest", "status", "dispatch"),
            *("user_id", "course_key", "usage_key", "queue_name"),
        )
        .first()
    )
    if submission is None:
        raise RequestRefused(NO_SUBMISSION, Code.SUBMISSION_UNKNOWN)
    if not constant_time_compare(submission.pullkey_digest, pullkey_digest(lease.pullkey)):
        is_released = not submission.pullkey_digest
        raise RequestRefused(WRONG_KEY, Code.LEASE_ENDED if is_released else Code.KEY_UNKNOWN)
    if submission.status == Status.RETIRED:
        grader_replies.discard_late_reply(submission.pk, "put_result")
        return False
    if submission.status == Status.FAILED:
        _keep_late_result(submission, parsed)
        return False
    if submission.status != Status.ANSWERED or not grader_replies.record_if_duplicate(
        submission.pk, parsed.body
    ):
        raise RequestRefused(HAS_RESULT, Code.ALREADY_ANSWERED)
    return True


def _keep_late_result(submission: Submission, parsed: ParsedResult) -> None:
    """Store a valid result of a failed submission, and do with it what LATE_RESULTS says.

    Raise RequestRefused unless the result counts: the learner has got the failure reply.
    """
    if submission.dispatch not in parsed.dispatches or parsed.reply is None:
        raise RequestRefused(FAILED, Code.SUBMISSION_FAILED) from parsed.problem
    parsed = filtered(submission.target, submission.queue_name, parsed)
    if parsed.stopped:
        raise RequestRefused(FAILED, Code.SUBMISSION_FAILED)
    grader_replies.store_late_reply(
        submission.pk, parsed.source, parsed.body, reply=cast(GraderReply, parsed.reply)
    )
    if options().LATE_RESULTS != "if_waiting" or not finish.requeue([submission.pk]):
        raise RequestRefused(FAILED_AND_KEPT, Code.SUBMISSION_FAILED)
