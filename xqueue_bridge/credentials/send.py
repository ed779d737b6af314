"""Send one grade to Credentials, with retries and backoff."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.conf import credentials_options
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import outbox
from xqueue_bridge.credentials.client import grade_message, post_grade
from xqueue_bridge.credentials.errors import GradeSendError
from xqueue_bridge.credentials.models import GradeOutbox
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.lms.users import user_id_of, username_of
from xqueue_bridge.option_groups import CredentialsOptions
from xqueue_bridge.worker.backoff import backoff

#: Seconds before the second attempt, and between two attempts, at most; at least two thirds of it.
FIRST_DELAY, LONGEST_DELAY = 45.0, 600.0
#: The maximum wait that the service may ask for.
LONGEST_RETRY_AFTER = 3600.0
#: How often one call repeats a row whose grade changes while it is sent.
ROUNDS = 3

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """The result of one call to send."""

    SENT = "sent"
    """Credentials has the stored grade, from this call or an earlier one."""
    SUPERSEDED = "superseded"
    """The grade is older than the stored one, which is sent separately; nothing was sent."""
    NOT_DUE = "not due"
    """Another process is sending it, or an attempt is due later, or there is no work left."""
    RETRY = "retry"
    """The attempt failed; the next one is scheduled."""
    FAILED = "failed"
    """Credentials refused the grade, or the maximum of attempts is reached."""
    SKIPPED = "skipped"
    """There is no service, no learner or no grade."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of a call to send. ``retry_in``: seconds until the next attempt, with RETRY."""

    outcome: Outcome
    retry_in: float | None = None
    affects_service: bool = False


def send_grade(
    username: str,
    course_key: CourseKey,
    *,
    verified: bool = True,
    last_updated: datetime | None = None,
) -> SendResult:
    """Send a learner's stored grade unless Credentials has it.

    ``last_updated``: the change that the caller wants to send. If the grade has changed since,
    nothing is sent, because the later change has its own task. Must not be called inside a
    transaction, because it waits for another server.
    """
    user_id = user_id_of(username) if credentials_options() else None
    grade = course_grades.read_stored_grade(user_id, course_key) if user_id else None
    if grade is None:
        return SendResult(Outcome.SKIPPED)
    if last_updated is not None and last_updated < grade.modified:
        log.info("The grade of learner %s in %s has changed since: not sent", user_id, course_key)
        return SendResult(Outcome.SUPERSEDED)
    row = outbox.find(grade.user_id, grade.course_id)
    if not outbox.is_enqueued(row, grade.stored_version):
        row_id = outbox.enqueue(grade.stored_version, row, verified=verified)
        return send_enqueued(row_id) if row_id else SendResult(Outcome.SKIPPED)
    return _send_row(row) if row else SendResult(Outcome.SKIPPED)


def send_enqueued(row_id: int) -> SendResult:
    """Send the stored grade of an outbox row if the row is due and not claimed.

    Must not be called inside a transaction. Five statements.
    """
    row = GradeOutbox.objects.filter(pk=row_id).first()
    return _send_row(row) if row else SendResult(Outcome.SKIPPED)


def send_due(limit: int = 100, seconds: float = 5.0) -> int:
    """Send due rows, longest overdue first; return how many were attempted.

    Ends after ``seconds``, and when the service itself fails, so that other overdue work does not
    wait and the service gets no further requests.
    """
    if credentials_options() is None:
        return 0
    ends = time.monotonic() + seconds
    tried = 0
    for row in GradeOutbox.objects.due(limit):
        tried += 1
        if _send_row(row).affects_service or time.monotonic() >= ends:
            break
    return tried


def _send_row(row: GradeOutbox) -> SendResult:
    service = credentials_options()
    if service is None:
        return SendResult(Outcome.SKIPPED)
    sent = SendResult(Outcome.NOT_DUE)
    for _ in range(ROUNDS):
        if not outbox.claim(row):
            break
        sent, is_finished = _attempt(service, row)
        if is_finished or sent.outcome is Outcome.RETRY:
            break
        row.refresh_from_db()
    return sent


def retry_delay(attempts: int) -> float:
    """Return the seconds to wait after the ``attempts``-th attempt: 30 to 600, with jitter."""
    return backoff(attempts, FIRST_DELAY, LONGEST_DELAY, jitter=1 / 3)


def _attempt(service: CredentialsOptions, row: GradeOutbox) -> tuple[SendResult, bool]:
    # Read under the claim: any newer grade is sent after this one.
    grade = course_grades.read_stored_grade(*row.key)
    if grade is None:
        return SendResult(Outcome.FAILED), outbox.mark_failed(row, "no grade")
    if (grade.version, grade.modified) == (row.sent_version, row.sent_modified):
        return SendResult(Outcome.SENT), outbox.mark_sent(row, grade.stored_version)
    if not math.isfinite(grade.percent_grade):
        # Another program has written it. A recalculation enqueues the grade again.
        return SendResult(Outcome.FAILED), outbox.mark_failed(row, "percent is not a finite number")
    username = username_of(row.user_id)
    if username is None:
        return SendResult(Outcome.FAILED), outbox.mark_failed(row, "no learner")
    message = grade_message(username, grade, verified=row.verified)
    try:
        post_grade(service, message, partial(outbox.is_still_claimed, row))
    except GradeSendError as exc:
        return _failed(row, exc)
    log.info("The grade of learner %s in %s was sent", *row.key)
    return SendResult(Outcome.SENT), outbox.mark_sent(row, grade.stored_version)


def _failed(row: GradeOutbox, error: GradeSendError) -> tuple[SendResult, bool]:
    if error.permanent or row.attempts >= outbox.MAX_ATTEMPTS:
        text = "The grade of learner %s in %s was not sent, and is not tried again: %s"
        log.warning(text, *row.key, error.code)
        ended = outbox.mark_failed(row, error.code)
        return SendResult(Outcome.FAILED, affects_service=error.affects_service), ended
    requested = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)
    delay = max(retry_delay(row.attempts), requested)
    log.info("The grade of learner %s in %s was not sent: %s", *row.key, error.code)
    ended = outbox.schedule_retry(row, error.code, database_now() + timedelta(seconds=delay))
    return SendResult(Outcome.RETRY, delay, error.affects_service), ended
