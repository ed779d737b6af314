"""Storage of received replies, before they are applied."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection
from dataclasses import asdict, replace
from functools import partial
from typing import cast

from django.db import transaction
from django.db.models import Count
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from xqueue_bridge.conf import options
from xqueue_bridge.data import GraderReply
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.transactions import after_commit
from xqueue_bridge.db.update import Update, insert_row, insert_row_if
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_replies.code_counts import count_after_commit
from xqueue_bridge.grader_replies.feedback import NO_FEEDBACK
from xqueue_bridge.grader_replies.graded_tests import TableTexts, table_of
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.log_fields import LogFields, Step
from xqueue_bridge.protocol.codes import Code
from xqueue_bridge.signals import reply_not_applied, reply_received
from xqueue_bridge.worker.enqueue import enqueue

log = logging.getLogger(__name__)

Source = ReceivedReply.Source
Status = ReceivedReply.Status
FAILURES = ReceivedReply.FAILURES

#: What the learner sees when a submission has failed. The form of the reply is XQueue's.
FAILURE_MESSAGE = gettext_lazy(
    "Your submission could not be graded, because of a fault of the grading service. This says "
    "nothing about your answer. You can submit it again; if the problem persists, please notify "
    "the course staff."
)

#: What the learner sees when an operator has ended the grading.
ENDED_MESSAGE = gettext_lazy(
    "Staff have ended the grading of your answer. This says nothing about your answer. You can "
    "submit it again."
)

#: Ends feedback that was too long.
SHORTENED_MESSAGE = gettext_lazy("The feedback was too long. This is its beginning.")


def store_reply(
    submission_id: int,
    source: str,
    body: str,
    *,
    reply: GraderReply | None,
    error: InvalidField | str = "",
    grader_id: int | None = None,
    answer: Update | None = None,
) -> int | None:
    """Store one reply with one INSERT, in the caller's transaction, and return its id.

    ``reply`` is the parsed ``body``. If it is None, ``error`` says why parsing failed, and the
    row is kept for operators. ``answer`` updates the submission, together with the INSERT and in no
    transaction of the caller; return None, and store nothing, if it does not match: see
    ``insert_row_if``. After commit ``reply_received`` or ``reply_not_applied`` is sent, and the
    codes of a reply that has some are counted for the grader.
    """
    now = database_now()
    row = ReceivedReply(
        submission_id=submission_id,
        source=source,
        status=Status.REJECTED if reply is None else Status.PENDING,
        received_at=now,
        next_attempt_at=None if reply is None else now,
        last_error=str(error)[:255],
        **_columns(body, reply, error),
    )
    reply_id = insert_row_if(answer, row) if answer else insert_row(row)
    if reply_id is None:
        return None
    if row.codes:
        count_after_commit(grader_id, [each["code"] for each in row.codes])
    if reply is None:
        send_after_commit_not_applied(reply_id, Status.REJECTED, str(error))
    else:
        ids = {"reply_id": reply_id, "submission_id": submission_id}
        after_commit(partial(reply_received.send_robust, ReceivedReply, **ids))
        after_commit(partial(enqueue, "apply_reply", reply_id))
    return reply_id


def store_late_reply(submission_id: int, source: str, body: str, *, reply: GraderReply) -> None:
    """Store once a valid reply that came after its submission had failed; it is not applied."""
    if record_if_duplicate(submission_id, body):
        return
    ReceivedReply.objects.create(
        submission_id=submission_id,
        source=source,
        status=Status.LATE,
        received_at=database_now(),
        last_error="it came after the submission had failed",
        **_columns(body, reply),
    )
    extra = LogFields(step=Step.LATE, submission_id=submission_id)
    log.warning("A late reply to submission %s is kept", submission_id, extra=extra)


def accept_late_replies(submission_id: int) -> None:
    """Make the late replies to a requeued submission pending, unless LATE_RESULTS is "never"."""
    if options().LATE_RESULTS == "never":
        return
    late = ReceivedReply.objects.filter(submission_id=submission_id, status=Status.LATE)
    late.update(status=Status.PENDING, next_attempt_at=database_now(), last_error="")


def store_failure_reply(submission_id: int, reason: str = "") -> int:
    """Store a failure reply for a submission, in the form of a grader's reply."""
    return _store_failure(submission_id, Source.SYSTEM, reason)


def store_ended_reply(submission_id: int) -> int:
    """Store the failure reply for a submission whose grading an operator has ended."""
    return _store_failure(submission_id, Source.OPERATOR, str(ENDED_MESSAGE))


def _store_failure(submission_id: int, source: ReceivedReply.Source, reason: str) -> int:
    body = failure_reply(reason)
    # Its null is XQueue's own.
    reply = replace(parse_reply(body), warnings=())
    return cast(int, store_reply(submission_id, source, body, reply=reply))


def failure_reply(reason: str = "") -> str:
    """Return the body of a failure reply: ``reason``, else our message in the active language."""
    msg = f'<div class="capa_alert">{escape(reason or FAILURE_MESSAGE)}</div>'
    return json.dumps({"correct": None, "score": 0, "msg": msg})


def cancel_failure_replies(submission_id: int) -> None:
    """Mark the failure replies to a requeued submission as rejected, so that none is applied again.

    One statement, in the caller's transaction.
    """
    ReceivedReply.objects.filter(submission_id=submission_id, source__in=FAILURES).update(
        status=Status.REJECTED, next_attempt_at=None, last_error="the submission was requeued"
    )


def is_failure_applied(submission_id: int) -> bool:
    """Return whether the learner's state has got a failure reply to the submission."""
    replies = ReceivedReply.objects.filter(submission_id=submission_id, source__in=FAILURES)
    return replies.filter(status=Status.APPLIED).exists()


def has_valid_reply(submission_id: int) -> bool:
    """Return whether a grader's valid reply to the submission is stored."""
    replies = ReceivedReply.objects.filter(submission_id=submission_id)
    return (
        replies.exclude(status__in=(Status.REJECTED, Status.LATE))
        .exclude(source__in=FAILURES)
        .exists()
    )


def record_if_duplicate(submission_id: int, body: str) -> bool:
    """Count a repeated reply in the score ledger; return whether it was accepted before."""
    _text, digest = storable(body)
    same = ReceivedReply.objects.filter(submission_id=submission_id, digest=digest).exclude(
        status=Status.REJECTED
    )
    reply_id = same.values_list("pk", flat=True).first()
    if reply_id is None:
        return False
    learner_state.record_duplicate(ledger_key(reply_id))
    return True


def submissions_with_replies(submission_ids: Collection[int]) -> tuple[set[int], set[int]]:
    """Return those of the submissions with an applied reply, and those with a pending one."""
    applied, pending = set(), set()
    rows = ReceivedReply.objects.filter(submission_id__in=submission_ids)
    for submission_id, status, again_at in rows.values_list(
        "submission_id", "status", "next_attempt_at"
    ):
        if status == Status.APPLIED:
            applied.add(submission_id)
        elif again_at is not None:
            pending.add(submission_id)
    return applied, pending


def delete_replies(submission_ids: Collection[int]) -> int:
    """Delete the replies to these submissions and their rows of the ledger; return how many."""
    replies = ReceivedReply.objects.filter(submission_id__in=submission_ids)
    learner_state.delete_outcomes([ledger_key(pk) for pk in replies.values_list("pk", flat=True)])
    return replies.delete()[0]


def ledger_key(reply_id: int) -> str:
    """Return the score ledger's key of a stored reply."""
    return f"reply:{reply_id}"


def pending_by_queue(except_of: str) -> dict[str, int]:
    """Return the number of pending replies of each queue, but of submissions with one status."""
    # A pending reply always has a next attempt, and the index contains that column.
    pending = ReceivedReply.objects.filter(next_attempt_at__isnull=False, status=Status.PENDING)
    counted = pending.exclude(submission__status=except_of).order_by()
    counts = counted.values_list("submission__queue_name").annotate(n=Count("pk"))
    return dict(counts)


def send_after_commit_not_applied(reply_id: int, status: str, error: str) -> None:
    """Send ``reply_not_applied`` after the caller's transaction, or now if there is none."""
    transaction.on_commit(
        partial(
            reply_not_applied.send_robust,
            sender=ReceivedReply,
            reply_id=reply_id,
            status=str(status),
            error=error,
        )
    )


def _columns(
    body: str, reply: GraderReply | None, error: InvalidField | str = ""
) -> dict[str, object]:
    """Return the columns of a text, and of what was parsed of it or why it is invalid."""
    text, digest = storable(body)
    columns: dict[str, object] = {"body": text[: options().MAX_REPLY_BYTES], "digest": digest}
    if reply is not None:
        columns |= {
            "correct": reply.correct,
            "score_given": reply.score,
            "message": learner_message(reply),
            "tests": [asdict(test) for test in reply.tests],
            "staff_note": reply.staff_note,
            "codes": [each.as_json() for each in reply.warnings],
        }
    elif isinstance(error, InvalidField):
        columns["codes"] = [{"code": error.code, "field": error.field, "data": {}}]
    return columns


def storable(body: str) -> tuple[str, str]:
    """Return a body as databases can store it, and the digest that a repeated reply has, too.

    JSON that contains what no database stores is invalid.
    """
    encoded = body.replace("\x00", "\ufffd").encode("utf-8", "replace")
    return encoded.decode(), hashlib.sha256(encoded).hexdigest()


def learner_message(reply: GraderReply) -> str:
    """Return what a learner reads of a reply, in the active language.

    That is its feedback, with a notice if it was too long, and with the table of its tests.
    """
    message = reply.msg
    if any(each.code == Code.FEEDBACK_SHORTENED for each in reply.warnings):
        message += f'<div class="external-grader-shortened">{escape(SHORTENED_MESSAGE)}</div>'
    if not reply.tests:
        return message
    texts = TableTexts(
        caption=_("Tests"),
        test=_("Test"),
        points=_("Points"),
        of=_("%(score)s of %(maximum)s"),
        message=_("Message"),
        hidden=_("Tests that are not shown: %(count)d"),
    )
    return ("" if message == NO_FEEDBACK else message) + table_of(reply.tests, texts)
