"""A pull in one statement of PostgreSQL; ``portable_pull.py`` has the form for every database.

The portable form reads a window, claims a row and reads its content, because the other databases
return no rows from an UPDATE or cannot skip locked rows. Here the row that is due first and that no
other pull has locked is leased, and its content returned. A row that has to fail or to be
superseded instead is left to the portable form.
"""

from __future__ import annotations

import json
import logging
from functools import cache

from django.db import connection

from xqueue_bridge.data import PulledSubmission, StoredFile
from xqueue_bridge.log_fields import LogFields, Step
from xqueue_bridge.option_groups import QueueOptions
from xqueue_bridge.submission_queue.grader_models import GraderPause
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.queue_models import QueueSettings
from xqueue_bridge.submission_queue.states import Status, sources_of
from xqueue_bridge.tracing import annotate

log = logging.getLogger(__name__)


def pull_at_once(
    queue_name: str, grader_id: int | None, pullkey: str, digest: str, limits: QueueOptions
) -> tuple[PulledSubmission | None, bool]:
    """Lease the submission that is due first under ``pullkey``; return it, None if there is none.

    The second value is False if that one has to be finished first.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _statement(),
            {
                "queue_name": queue_name.strip(),
                "grader_id": grader_id,
                "digest": digest,
                "lease_seconds": limits.LEASE_SECONDS,
                "max_deliveries": limits.MAX_DELIVERIES,
                "leased": Status.LEASED.value,
                "sources": [status.value for status in sources_of(Status.LEASED)],
            },
        )
        row = cursor.fetchone()
    if row is None:
        return None, True
    submission_id, deliveries, body, files, points = row
    if submission_id is None:
        return None, False
    log_pull(submission_id, queue_name, grader_id)
    return pulled_submission(submission_id, deliveries, pullkey, body, files, points), True


def pulled_submission(
    submission_id: int, deliveries: int, pullkey: str, body: str, files: str, points: str
) -> PulledSubmission:
    """Return what a grader gets, from columns as the database has them."""
    stored = tuple(StoredFile(*entry) for entry in json.loads(files))
    return PulledSubmission(submission_id, deliveries, pullkey, body, stored, json.loads(points))


def log_pull(submission_id: int, queue_name: str, grader_id: int | None) -> None:
    """Log that a submission was leased to a grader."""
    extra = LogFields(
        step=Step.PULLED, submission_id=submission_id, queue_name=queue_name, grader_id=grader_id
    )
    annotate(extra)
    log.info("Submission %s leased to grader %s", submission_id, grader_id, extra=extra)


@cache
def _statement() -> str:
    submissions, contents, settings, pauses = (
        model._meta.db_table
        for model in (Submission, SubmissionContent, QueueSettings, GraderPause)
    )
    return f"""
    WITH first AS (
        SELECT id, is_replaced OR deliveries >= %(max_deliveries)s OR (
            deliveries > 0 AND COALESCE(retry_until <= STATEMENT_TIMESTAMP(), FALSE)
        ) AS is_over
        FROM {submissions}
        WHERE queue_name = %(queue_name)s AND due_at IS NOT NULL
            AND available_at <= STATEMENT_TIMESTAMP()
            AND NOT EXISTS (
                SELECT FROM {settings}
                WHERE queue_name = %(queue_name)s AND paused_at IS NOT NULL
            )
            AND NOT EXISTS (
                SELECT FROM {pauses}
                WHERE queue_name = %(queue_name)s AND grader_id = %(grader_id)s
                    AND paused_until > STATEMENT_TIMESTAMP()
            )
        ORDER BY due_at, available_at, id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ), leased AS (
        UPDATE {submissions}
        SET status = %(leased)s,
            available_at = STATEMENT_TIMESTAMP() + %(lease_seconds)s * INTERVAL '1 second',
            due_at = STATEMENT_TIMESTAMP() + %(lease_seconds)s * INTERVAL '1 second',
            deliveries = deliveries + 1,
            pullkey_digest = %(digest)s,
            grader_id = %(grader_id)s,
            leased_at = STATEMENT_TIMESTAMP()
        WHERE id = (SELECT id FROM first WHERE NOT is_over) AND status = ANY(%(sources)s)
        RETURNING id, deliveries, content_id
    )
    SELECT leased.id, leased.deliveries, content.body, content.files, content.points
    FROM first
    LEFT JOIN leased ON TRUE
    LEFT JOIN {contents} content ON content.id = leased.content_id
    """  # noqa: S608
