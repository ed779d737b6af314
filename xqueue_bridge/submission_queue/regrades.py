"""Regrades in the submissions table: rows that offer an answered submission to graders again.

A regrade is a row of its own with a copy of the content and a queue key that no header contains.
It enters the same work index as an answer, and is due later than every answer of that time.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Collection
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.conf import queue_options
from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.log_fields import LogFields, Step, about
from xqueue_bridge.submission_queue.finish import log_superseded
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.priorities import regrade_delay
from xqueue_bridge.submission_queue.states import Status, finished, sources_of

log = logging.getLogger(__name__)

#: Regrades of a queue that may be open at once. So many at most are ahead of the answers that
#: enter the queue when these regrades have become due.
MAX_OPEN = 24
#: The queue key of a regrade; it names the submission that is graded again.
REGRADE_KEY = re.compile(r"regrade-([0-9]{1,18})-[0-9a-f]+")
#: Statuses of submissions that can be graded again.
FINISHED = (Status.ANSWERED, Status.FAILED)


def regradable(course_key: LearningContextKey) -> QuerySet[Submission]:
    """Return the submissions of a course that graders can be offered again.

    Not those of a legacy XQueue server, whose answers are not stored here, nor those of a
    submitter, whose LMS keeps the state.
    """
    return Submission.objects.filter(
        course_key=course_key,
        status__in=FINISHED,
        transport=Submission.Transport.TABLE,
        dispatch=Dispatch.SCORE_UPDATE,
        regrade_of=None,
    )


def enqueue_regrade(original_id: int) -> Submission | None:
    """Offer a finished submission to graders again; return the new row.

    None if it is gone, retired, or not finished. Call it in a transaction. Three statements.
    """
    original = (
        Submission.objects.filter(pk=original_id, status__in=FINISHED)
        .select_related("content")
        .first()
    )
    if original is None or not original.content.body:
        return None
    now = DatabaseNow()
    content = SubmissionContent.objects.create(
        header=original.content.header,
        body=original.content.body,
        points=original.content.points,
        files=original.content.files,  # the files themselves are not copied
    )
    max_age = timedelta(seconds=queue_options(original.queue_name).MAX_AGE_SECONDS)
    row = Submission.objects.create(
        content=content,
        queue_name=original.queue_name,
        status=Status.WAITING,
        available_at=now,
        due_at=now.plus(regrade_delay()),
        retry_until=now.plus(max_age),
        created_at=now,
        user_id=original.user_id,
        course_key=original.course_key,
        usage_key=original.usage_key,
        dispatch=original.dispatch,
        queue_key=f"regrade-{original_id}-{secrets.token_hex(8)}",
        regrade_of=original_id,
    )
    log.info(
        "Submission %s, a regrade of %s, entered queue %s",
        row.pk,
        original_id,
        row.queue_name,
        extra=about(row, row.queue_name) | LogFields(step=Step.QUEUED, submission_id=row.pk),
    )
    return row


def supersede_regrade(submission_id: int) -> bool:
    """Supersede an open regrade, so that no grader is offered it; False if it is finished."""
    superseded = Submission.objects.filter(
        pk=submission_id, status__in=sources_of(Status.SUPERSEDED)
    ).update(**finished(Status.SUPERSEDED))
    if superseded:
        log_superseded([submission_id])
    return bool(superseded)


def has_newer_answer(original_id: int, target: Target, answer_id: str) -> bool:
    """Return whether the learner has answered again since, and that answer was graded.

    One statement. An answer that still waits is seen in the learner's state.
    """
    newer = Submission.objects.filter(
        user_id=target.user_id, usage_key=target.usage_key, pk__gt=original_id, regrade_of=None
    )
    graded = grader_replies.replies_about(OuterRef("pk"), answer_id)
    return newer.filter(Exists(graded)).exists()


def ended_without_reply(submission_ids: Collection[int]) -> dict[int, str]:
    """Return those of the regrades that no reply will finish, with their status."""
    rows = Submission.objects.filter(pk__in=submission_ids)
    ended = rows.filter(
        Q(status__in=(Status.SUPERSEDED, Status.RETIRED))
        | Q(status__in=FINISHED) & ~Exists(grader_replies.pending_replies_to(OuterRef("pk")))
    )
    found = dict(ended.values_list("pk", "status"))
    known = set(rows.values_list("pk", flat=True))
    return found | dict.fromkeys(set(submission_ids) - known, "")


def original_key(queue_key: str, target: Target) -> str | None:
    """Return the queue key of the submission that a regrade's queue key names; None if it is gone.

    "" if the key is not a regrade's. One statement for a regrade's key.
    """
    match = REGRADE_KEY.fullmatch(queue_key)
    if match is None:
        return ""
    originals = Submission.objects.filter(pk=int(match[1]), user_id=target.user_id)
    return originals.values_list("queue_key", flat=True).first()
