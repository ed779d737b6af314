"""Door: background work. Celery carries the wake-up; the database rows are the truth."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from celery import current_app, shared_task
from django.core.exceptions import ObjectDoesNotExist
from django.utils.dateparse import parse_datetime
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import api as credentials
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.submission_queue import api as submission_queue

#: Longest wait, in seconds, of a task that a worker holds. RabbitMQ ends a worker's channel if one
#: is not acknowledged within 30 minutes; with Redis, after an hour another worker has it as well.
MAX_COUNTDOWN = 900
#: Seconds after which a sweep that no worker has begun is dropped; there are later ones.
SWEEP_EXPIRES = 600
#: Seconds for which a broker that took nothing is not asked again: each time, whoever asks may
#: wait for seconds in vain, in a web server's thread.
BROKER_RETRY_SECONDS = 30.0

log = logging.getLogger(__name__)
_lock = threading.Lock()
#: When to ask the broker again; 0: it works. By the monotonic clock, under the lock.
_ask_again_at = 0.0


@shared_task(name="xqueue_bridge.apply_reply", ignore_result=True)
def apply_reply(reply_id: int) -> None:
    """Deliver one stored reply to the learner's state."""
    try:
        grader_replies.apply_reply(reply_id)
    except ObjectDoesNotExist:
        log.info("Reply %s is gone: its learner was retired", reply_id)


@shared_task(name="xqueue_bridge.recalculate_grade", ignore_result=True)
def recalculate_grade(user_id: int, course_id: str) -> None:
    """Compute a learner's course grade, if it is out of date."""
    course_grades.recalculate_requested(user_id, CourseKey.from_string(course_id))


@shared_task(
    bind=True,
    name="xqueue_bridge.send_grade_to_credentials",
    ignore_result=True,
    max_retries=credentials.MAX_ATTEMPTS - 1,
)
def send_grade_to_credentials(
    self: Any,
    username: str,
    course_run_key: str,
    verified: bool,
    letter_grade: str | None,
    percent_grade: float | None,
    grade_last_updated: str | datetime | None = None,
) -> None:
    """Tell Credentials a learner's course grade.

    The arguments are the platform's. What is sent is the stored grade; if it has changed since
    ``grade_last_updated`` (ISO 8601), nothing is, because the later change has its own task.
    Attempts are counted in the outbox, whoever makes them; after a long wait, the sweeper does.
    """
    sent = credentials.send_grade(
        username,
        CourseKey.from_string(course_run_key),
        verified=verified,
        last_updated=_moment(grade_last_updated),
    )
    if sent.retry_in is None or sent.retry_in > MAX_COUNTDOWN:
        return
    if self.request.retries < self.max_retries:
        raise self.retry(countdown=sent.retry_in)


@shared_task(name="xqueue_bridge.sweep", ignore_result=True, expires=SWEEP_EXPIRES)
def sweep() -> dict[str, int]:
    """Finish what was left: a bounded helping of each kind. Returns how many of each.

    Run it every few seconds: by Celery beat, cron, or `manage.py xqueue_bridge_sweep`. A kind
    that fails keeps none of the others waiting; its exception is raised at the end, in a group.
    """
    kinds: dict[str, Callable[[], int]] = {
        "submissions given up": submission_queue.fail_exhausted,
        "replies delivered": grader_replies.apply_due,
        "unpublished submissions purged": submission_queue.purge_unpublished,
        "ended sessions forgotten": submission_queue.clear_expired_sessions,
        "courses to grade anew": course_grades.request_due_courses,
        "grades computed": course_grades.recalculate_due,
        "missed grades entered": credentials.enqueue_missed,
        "grades sent": credentials.send_due,
    }
    done: dict[str, int] = {}
    problems: dict[str, Exception] = {}
    for kind, work in kinds.items():
        try:
            done[kind] = work()
        except Exception as exc:
            problems[f"{kind} ({type(exc).__name__})"] = exc
    if problems:
        raise ExceptionGroup(f"Not swept: {', '.join(problems)}", list(problems.values()))
    return done


def enqueue_apply_reply(reply_id: int) -> None:
    """Have a stored reply delivered now: by a worker where there is a broker, else here."""
    if uses_celery():
        _put(apply_reply, (reply_id,))
    else:
        grader_replies.apply_reply(reply_id)


def enqueue_recalculation(user_id: int, course_key: CourseKey) -> None:
    """Have a grade that is out of date computed: by a worker after the delay, or here and now."""
    if uses_celery():
        delay = options().RECALCULATE_GRADE_DELAY_SECONDS
        _put(recalculate_grade, (user_id, str(course_key)), countdown=delay)
    else:
        course_grades.recalculate_requested(user_id, course_key, debounce=True)


def enqueue_send_grade(grade: credentials.GradeToSend) -> None:
    """Have an enqueued grade sent now, where there is a broker; else the sweeper sends it."""
    if uses_celery():
        _put(send_grade_to_credentials, kwargs=asdict(grade))


def _put(task: Any, *args: Any, **kwargs: Any) -> None:
    """Put a task into the broker's queue, or leave its work to the sweeper.

    After a broker took nothing, whatever the reason, one thread of the process asks it again in
    each pause, and the others do not wait for it.
    """
    global _ask_again_at
    with _lock:
        if time.monotonic() < _ask_again_at:
            return
        if _ask_again_at:
            _ask_again_at = time.monotonic() + BROKER_RETRY_SECONDS
    try:
        task.apply_async(*args, retry=False, **kwargs)
    except Exception as exc:
        # Each kind of broker has its own exceptions; a wrong password is no OperationalError.
        if current_app.conf.task_always_eager:
            raise  # there is no broker: the task itself has failed
        with _lock:
            is_news = not _ask_again_at
            _ask_again_at = time.monotonic() + BROKER_RETRY_SECONDS
        if is_news:
            # The kind of the problem and no more: some brokers' messages quote what was sent.
            kind = type(exc.__cause__ or exc).__name__
            log.warning("The broker cannot be used (%s): work is left to the sweeper", kind)
    else:
        with _lock:
            _ask_again_at = 0.0


def _moment(value: str | datetime | None) -> datetime | None:
    moment = parse_datetime(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def uses_celery() -> bool:
    """Return whether replies are delivered by Celery workers."""
    chosen = options().TASK_RUNNER
    return chosen == "celery" or (chosen is None and bool(current_app.conf.broker_url))
