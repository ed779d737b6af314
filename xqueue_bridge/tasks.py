"""Celery tasks. Pending work is in database rows; a task only triggers processing early."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from celery import Task, shared_task
from django.db import close_old_connections
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.alerts import api as alerts
from xqueue_bridge.conf import options
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import api as credentials
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.metrics import api as metrics
from xqueue_bridge.operations import api as operations
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.worker import heartbeat
from xqueue_bridge.worker.enqueue import Kind, register

#: Maximum seconds that a worker holds a delayed task. RabbitMQ closes a worker's channel if a task
#: is not acknowledged within 30 minutes; Redis delivers it to another worker after an hour.
MAX_COUNTDOWN = 900
#: Seconds after which a sweep task that no worker has started is dropped.
SWEEP_EXPIRES = 600
#: Seconds after which a task that prunes is dropped, and submissions that it removes at most.
PRUNE_EXPIRES = 3600
PRUNE_LIMIT = 50_000

log = logging.getLogger(__name__)


class DatabaseTask(Task):  # type: ignore[misc]  # Celery has no annotations
    """A task of a worker that may keep its database connections: CELERY_DB_REUSE_MAX."""

    def before_start(self, task_id: str, args: object, kwargs: object) -> None:
        """Close a connection that is lost or too old, as Django does before each request."""
        if not self.request.is_eager:
            close_old_connections()


task = partial(shared_task, base=DatabaseTask, ignore_result=True)


@task(name="xqueue_bridge.apply_replies")
def apply_replies(reply_ids: list[int]) -> None:
    """Apply stored replies to the learners' states."""
    grader_replies.apply_replies(reply_ids)


@task(name="xqueue_bridge.recalculate_grades")
def recalculate_grades(learners: list[tuple[int, str]]) -> None:
    """Compute the course grades that are out of date of these user ids and course keys."""
    course_grades.recalculate_learners(learners)


@task(
    bind=True,
    name="xqueue_bridge.send_grade_to_credentials",
    max_retries=credentials.MAX_ATTEMPTS - 1,
)
def send_grade_to_credentials(
    self: object,
    username: str,
    course_run_key: str,
    verified: bool,
    letter_grade: str | None,
    percent_grade: float | None,
    grade_last_updated: str | datetime | None = None,
) -> None:
    """Send a learner's course grade to Credentials.

    The arguments are the platform's. The stored grade is sent, unless it has changed since
    ``grade_last_updated`` (ISO 8601), because the later change has its own task. GradeOutbox
    counts the attempts of tasks and sweeper; after a long delay the sweeper retries.
    """
    course_key = CourseKey.from_string(course_run_key)
    last_updated = _parse_datetime(grade_last_updated)
    _retry_if_due(
        self,
        credentials.send_grade(username, course_key, verified=verified, last_updated=last_updated),
    )


@task(
    bind=True,
    name="xqueue_bridge.send_grade",
    max_retries=credentials.MAX_ATTEMPTS - 1,
)
def send_grade(self: object, row_id: int) -> None:
    """Send the stored grade of one outbox row to Credentials."""
    _retry_if_due(self, credentials.send_enqueued(row_id))


def _retry_if_due(task: Any, sent: credentials.SendResult) -> None:
    """Let Celery retry a task that sends a grade, unless its delay is too long for a worker."""
    if sent.retry_in is None or sent.retry_in > MAX_COUNTDOWN:
        return
    if task.request.retries < task.max_retries:
        raise task.retry(countdown=sent.retry_in)


@task(name="xqueue_bridge.prune_submissions", expires=PRUNE_EXPIRES)
def prune_submissions(
    keep_days: int, course_id: str | None = None, archive: bool = False, limit: int = PRUNE_LIMIT
) -> dict[str, int]:
    """Remove submissions that finished more than ``keep_days`` ago, for Celery beat.

    At most ``limit`` in one run, which bounds its time; the next run continues.
    """
    if keep_days < 1:
        raise ValueError("keep_days must be at least 1")
    selection = submission_queue.Selection(
        timezone.now() - timedelta(days=keep_days),
        None if course_id is None else CourseKey.from_string(course_id),
    )
    batches = submission_queue.prune_submissions(selection, archive=archive, limit=limit)
    done = sum(batches, Counter[str]())
    log.info("Submissions pruned: %s", dict(done))
    return done


@task(name="xqueue_bridge.sweep", expires=SWEEP_EXPIRES)
def sweep() -> dict[str, int]:
    """Process one batch of every kind of overdue work and return the counts.

    Run it every few seconds by Celery beat, cron, or `manage.py xqueue_bridge_sweep`. If one kind
    raises, the other kinds are still processed; the exceptions are raised at the end in a group.
    """
    kinds: dict[str, Callable[[], int]] = {
        "submissions failed": submission_queue.fail_exhausted,
        "replies applied": grader_replies.apply_due,
        "operator actions continued": operations.continue_actions,
        "old operator actions deleted": operations.delete_old_actions,
        "regrades ended": regrading.end_finished,
        "submissions released for regrading": regrading.release_due,
        "unpublished submissions purged": submission_queue.purge_unpublished,
        "unmatched submissions purged": submission_queue.purge_unmatched,
        "expired sessions cleared": submission_queue.clear_expired_sessions,
        "course regrades requested": course_grades.request_due_courses,
        "pending overrides applied": course_grades.apply_pending_overrides,
        "grades computed": course_grades.recalculate_due,
        "missed grades enqueued": credentials.enqueue_missed,
        "grades sent": credentials.send_due,
        "queues sampled": metrics.take_samples,
        "alerts changed": alerts.update_alerts,
        "notifications sent": alerts.send_due_alerts,
    }
    done: dict[str, int] = {}
    problems: dict[str, Exception] = {}
    for kind, work in kinds.items():
        try:
            done[kind] = work()
        except Exception as exc:
            problems[f"{kind} ({type(exc).__name__})"] = exc
    try:
        heartbeat.record(heartbeat.SWEEPER)
    except Exception as exc:  # raised alone, it would hide the other problems
        problems[f"heartbeat ({type(exc).__name__})"] = exc
    if problems:
        raise ExceptionGroup(f"Not swept: {', '.join(problems)}", list(problems.values()))
    return done


def _parse_datetime(value: str | datetime | None) -> datetime | None:
    parsed = parse_datetime(value) if isinstance(value, str) else value
    return parsed.replace(tzinfo=UTC) if parsed and parsed.tzinfo is None else parsed


def _recalculation_delay() -> float:
    return options().RECALCULATE_GRADE_DELAY_SECONDS


register("apply_reply", Kind(apply_replies, run=grader_replies.apply_replies))
register(
    "recalculate_grade",
    Kind(
        recalculate_grades,
        run=partial(course_grades.recalculate_learners, debounce=True),
        delay=_recalculation_delay,
    ),
)
register("send_grade", Kind(send_grade, takes_many=False))
