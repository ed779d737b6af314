"""What a learner may know of answers that were sent: waiting, in grading, graded or failed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.conf import options
from xqueue_bridge.data import Dispatch
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.lms.keys import with_run
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.paused_queues import paused_queues
from xqueue_bridge.submission_queue.rates import QueueRate, recent_rate
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.submission_queue.stats import (
    MAX_AHEAD,
    position_of,
    with_is_held,
    without_graders,
)

#: The answers of one attempt are sent one after the other within this time.
ONE_ATTEMPT = timedelta(seconds=5)
#: Answers of an attempt that are looked at.
MAX_ANSWERS = 20
#: Seconds for which it is cached whether a queue has graders.
CONDITION_SECONDS = 10
#: What is read of a submission; its answer and its files are not.
COLUMNS = (
    *("user_id", "course_key", "usage_key", "queue_name", "status", "available_at", "is_replaced"),
    *("due_at", "transport", "created_at", "leased_at", "finished_at", "content__points"),
)
#: Reply backends that give the attempt back if no grader could grade the answer.
RETURNING_BACKENDS = ("state", "block")


class Stage(StrEnum):
    """How far an answer is."""

    WAITING = "waiting"
    GRADING = "grading"
    #: A grader has replied, and the reply is not applied yet.
    APPLYING = "applying"
    GRADED = "graded"
    #: No grader could grade it.
    FAILED = "failed"
    #: An operator has ended the grading.
    STOPPED = "stopped"
    #: The reply could not be applied; an operator can retry it.
    DEAD = "dead"
    #: A newer answer has replaced it, or the learner's state was deleted.
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class AnswerStatus:
    """The status of one submission, as far as its learner may know it.

    ``position`` is 1 for the one that is pulled next, MAX_AHEAD + 1 for that or later, and None
    unless it waits. ``seconds`` is the measured estimate from now to the grade, shortest and
    longest (None: longer than can be told); None if nothing was measured or nothing moves.
    ``since`` is the time of the delivery while a grader has it.
    """

    submission_id: int
    course_key: CourseKey
    usage_key: UsageKey
    stage: Stage
    sent_at: datetime
    since: datetime | None = None
    finished_at: datetime | None = None
    position: int | None = None
    has_grader: bool = True
    #: An operator has paused the queue.
    is_paused: bool = False
    seconds: tuple[float, float | None] | None = None
    correct: bool = False
    points: float | None = None
    possible: float | None = None
    #: The points of all answers of the problem, before its weight; None if they are not known.
    problem_points: float | None = None
    #: The reply that counts.
    reply_id: int | None = None
    #: A course team lets it be graded again.
    is_regraded: bool = False
    #: The attempt of a failed answer was given back.
    is_attempt_returned: bool = False
    #: A newer answer of the learner, or a reset, has replaced it.
    is_replaced: bool = False
    #: Why a filter of the host has stopped the result; sanitised HTML.
    message: str = ""

    @property
    def is_final(self) -> bool:
        """Return whether the status stays as it is until the learner submits again."""
        is_open = self.stage in (Stage.WAITING, Stage.GRADING, Stage.APPLYING)
        return not is_open and not self.is_regraded


@dataclass(frozen=True, slots=True)
class _Queue:
    has_grader: bool
    is_paused: bool
    rate: QueueRate


def newest_answers(user_id: int, usage_key: UsageKey) -> list[AnswerStatus]:
    """Return the statuses of a learner's newest attempt at a block, one for each answer.

    Empty if there is none, also after it was pruned. One statement; two more if one is finished;
    one more for each that waits, and five about its queue, cached for CONDITION_SECONDS for all
    learners.
    """
    rows = answers_of(user_id).filter(usage_key=usage_key).order_by("-pk")[:MAX_ANSWERS]
    found = _newest_attempt(list(rows))
    return [_with_position(each, row) for each, row in zip(statuses_of(found), found, strict=True)]


def answers_of(user_id: int) -> Any:
    """Return a queryset of the learner's answers, without regrades and trial runs."""
    answers = Submission.objects.filter(
        user_id=user_id, regrade_of=None, dispatch=Dispatch.SCORE_UPDATE
    ).exclude(status__in=(Status.RETIRED, Status.UNMATCHED))
    return with_is_held(answers).select_related("content").only(*COLUMNS)


def statuses_of(rows: Sequence[Any]) -> list[AnswerStatus]:
    """Return the statuses of rows of ``answers_of`` of one learner, without positions.

    Two statements at most for any number of rows: regrades and replies.
    """
    answered = [row for row in rows if row.status == Status.ANSWERED]
    regrades = _regrades_of(answered)
    ids = [row.pk for row in rows if row.status in (Status.ANSWERED, Status.FAILED)]
    outcomes: dict[int, list[grader_replies.Outcome]] = {}
    if ids:
        original = {pk: regrade_of for pk, regrade_of, _ in regrades}
        for outcome in grader_replies.outcomes_of([*ids, *original]):
            pk = original.get(outcome.submission_id, outcome.submission_id)
            outcomes.setdefault(pk, []).append(outcome)
    regraded = {regrade_of for _, regrade_of, is_open in regrades if is_open}
    return [_status(row, outcomes.get(row.pk, ()), row.pk in regraded) for row in rows]


def _newest_attempt(newest_first: Sequence[Any]) -> list[Any]:
    """Return the rows of the newest attempt, in the order in which they were sent."""
    if not newest_first:
        return []
    newest = newest_first[0]
    # A block without capa sends no points of answers: each of its submissions is an attempt.
    answers = max(len(newest.content.points), 1)
    same = [
        row for row in newest_first[:answers] if newest.created_at - row.created_at < ONE_ATTEMPT
    ]
    return same[::-1]


def _regrades_of(rows: Sequence[Any]) -> list[tuple[int, int, bool]]:
    """Return id, id of the answer and whether it is open, of each regrade of the rows."""
    if not rows:
        return []
    found = Submission.objects.filter(
        user_id=rows[0].user_id,
        usage_key__in={row.usage_key for row in rows},
        regrade_of__in=[row.pk for row in rows],
    )
    columns = found.values_list("pk", "regrade_of", "available_at")
    return [(pk, regrade_of or 0, until is not None) for pk, regrade_of, until in columns]


def _status(
    row: Any, outcomes: Sequence[grader_replies.Outcome], is_regraded: bool
) -> AnswerStatus:
    status = AnswerStatus(
        row.pk,
        row.course_key,
        with_run(row.usage_key, row.course_key),
        _stage_of_open(row),
        row.created_at,
        since=row.leased_at if row.is_held else None,
        finished_at=row.finished_at,
        is_regraded=is_regraded,
        is_replaced=row.is_replaced,
    )
    applied = [each for each in outcomes if each.status == "applied"]
    # Its rows of replies can be lost, for example with a restored database: nothing will come.
    has_no_reply = row.status == Status.ANSWERED and not outcomes
    if row.status == Status.FAILED or has_no_reply or (applied and applied[-1].is_failure):
        stopped = any(each.is_by_operator for each in outcomes[-1:])
        return replace(
            status,
            stage=Stage.STOPPED if stopped else Stage.FAILED,
            reply_id=applied[-1].reply_id if applied else None,
            is_attempt_returned=bool(applied) and _returns_attempts(row),
            message=applied[-1].message if applied and row.status != Status.FAILED else "",
        )
    if applied:
        last = applied[-1]
        return replace(
            status,
            stage=Stage.GRADED,
            finished_at=last.applied_at or row.finished_at,
            reply_id=last.reply_id,
            correct=last.correct,
            points=last.points,
            possible=row.content.points.get(last.answer_id),
            problem_points=_sum(row.content.points.values()),
        )
    states = {each.status for each in outcomes}
    for state, stage in (("pending", Stage.APPLYING), ("dead", Stage.DEAD)):
        if state in states:
            return replace(status, stage=stage)
    return status


def _sum(points: Collection[object]) -> float | None:
    """Return the sum; None if there are no points, or one is no number."""
    found = [each for each in points if isinstance(each, int | float)]
    return sum(found) if found and len(found) == len(points) else None


def _stage_of_open(row: Any) -> Stage:
    if row.available_at is None or row.is_replaced:
        return Stage.ENDED
    return Stage.GRADING if row.is_held else Stage.WAITING


def _returns_attempts(row: Submission) -> bool:
    return not row.answers_by_callback and options().REPLY_BACKEND in RETURNING_BACKENDS


def _with_position(status: AnswerStatus, row: Submission) -> AnswerStatus:
    if status.stage != Stage.WAITING:
        return status
    queue, position = _queue(row.queue_name), position_of(row)
    seconds: tuple[float, float | None] | None = queue.rate.seconds_until_graded(position)
    if seconds is not None and position > MAX_AHEAD:
        seconds = (seconds[0], None)
    if queue.is_paused or not queue.has_grader:
        seconds = None
    return replace(
        status,
        position=position,
        has_grader=queue.has_grader,
        is_paused=queue.is_paused,
        seconds=seconds,
    )


def _queue(queue_name: str) -> _Queue:
    """Return whether a queue has graders, or is paused, and its rate; cached for all learners."""
    cache, key = BestEffortCache(), f"xqueue_bridge:queue:{queue_name.encode().hex()[:150]}"
    found = cache.get(key)
    if not isinstance(found, _Queue):
        is_paused = queue_name.strip() in paused_queues()
        found = _Queue(not without_graders([queue_name]), is_paused, recent_rate(queue_name))
        cache.set(key, found, CONDITION_SECONDS)
    return found
