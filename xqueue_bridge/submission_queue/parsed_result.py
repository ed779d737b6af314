"""A result as it was received: parsed, and passed through the filter for results."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace

from xqueue_bridge.conf import options
from xqueue_bridge.data import Dispatch, GraderReply, Target
from xqueue_bridge.exceptions import FilterStopped, InvalidReply
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.lms import filters
from xqueue_bridge.log_fields import about, named

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ParsedResult:
    """A parsed result: a reply valid for these dispatches, an error, or both.

    ``stopped`` is the reason for the learner if a filter has stopped the result.
    """

    body: str
    problem: InvalidReply | None
    reply: GraderReply | None = None
    dispatches: tuple[Dispatch, ...] = ()
    source: str = "put_result"
    stopped: str = ""


def parse_result(body: str, source: str = "put_result") -> ParsedResult:
    """Parse the xqueue_body of a result.

    A trial run needs no grade, but only the Submission row says whether it was one.
    """
    most = options().MAX_REPLY_BYTES
    try:
        reply = grader_replies.parse_reply(body, max_feedback_bytes=most)
        return ParsedResult(body, None, reply, tuple(Dispatch), source)
    except InvalidReply as invalid:
        problem = invalid
    try:
        output = grader_replies.parse_reply(body, graded=False, max_feedback_bytes=most)
    except InvalidReply:
        return ParsedResult(body, problem, source=source)
    return ParsedResult(body, problem, output, (Dispatch.UNGRADED_RESPONSE,), source)


def filtered(target: Target, queue_name: str, result: ParsedResult) -> ParsedResult:
    """Return the result after the filter for results, if the host has configured it.

    A result that the filter has made invalid is kept as the grader sent it. Called outside of
    transactions, because the steps of a filter are the host's code.
    """
    given = result.reply
    if given is None or target.dispatch not in result.dispatches:
        return result
    try:
        changed = filters.filter_result(target, queue_name, given)
    except FilterStopped as stop:
        return replace(result, stopped=str(stop))
    if changed == (given.correct, given.score, given.msg):
        return result
    names = ("correct", "score", "msg")
    try:
        after = grader_replies.parse_reply(
            json.dumps(dict(zip(names, changed, strict=True)), default=str),
            max_feedback_bytes=options().MAX_REPLY_BYTES,
        )
    except InvalidReply as invalid:
        fields = about(target, queue_name)
        text = "%s returned an invalid result (%s): %s"
        log.error(text, filters.RESULT, named(fields), invalid, extra=fields)
        return result
    reply = replace(given, correct=after.correct, score=after.score, msg=after.msg)
    return replace(result, reply=reply)


def store_stopped(submission_id: int, result: ParsedResult) -> None:
    """Store a result that a filter has stopped, and the failure reply that tells the learner.

    Two statements, in the caller's transaction.
    """
    grader_replies.store_reply(
        submission_id, result.source, result.body, reply=None, error="a filter has stopped it"
    )
    grader_replies.store_failure_reply(submission_id, result.stopped)
