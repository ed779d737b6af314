"""Queries of received replies, and what a backend gets of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, cast

from django.db.models import Case, Exists, OuterRef, Q, QuerySet, TextField, Value, When
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.conf import queue_options
from xqueue_bridge.data import GraderReply, ReplyToApply
from xqueue_bridge.db.clock import DatabaseNow, database_now
from xqueue_bridge.grader_replies.models import ReceivedReply

Status = ReceivedReply.Status


def with_submission() -> QuerySet[ReceivedReply]:
    """Return all replies, with what applying them needs of their submissions.

    ``read_at`` is the database's time. ``is_replaced`` says whether a newer submission has the
    reply's queue key. The learner's answer and the reply's raw body and tests are not read.
    """
    return _with_submission().annotate(read_at=DatabaseNow())


@cache
def _with_submission() -> QuerySet[ReceivedReply]:
    wide = (
        "body",
        "tests",
        "staff_note",
        "submission__content__body",
        "submission__content__files",
    )
    replies = ReceivedReply.objects.annotate(is_replaced=is_replaced())
    return replies.select_related("submission__content").defer(*wide)


def may_be_attempted() -> Q:
    """Match replies whose next attempt is due; the first one is due by any clock."""
    return Q(next_attempt_at__lte=database_now()) | Q(attempts=0, next_attempt_at__isnull=False)


def replies_to(
    user_id: int, usage_key: UsageKey, waiting_keys: Collection[str]
) -> QuerySet[ReceivedReply]:
    """Return the replies for these keys that may be applied, each key's newest submission only."""
    return (
        ReceivedReply.objects.filter(
            ~is_replaced(),
            submission__user_id=user_id,
            submission__usage_key=usage_key,
            submission__queue_key__in=waiting_keys,
        )
        .exclude(status__in=(Status.REJECTED, Status.LATE))
        .order_by("pk")
    )


def next_for_same_block(reply: ReceivedReply, tried: Collection[int]) -> ReceivedReply | None:
    """Return a due reply to the same block, which another process skipped because of the lock."""
    return (
        with_submission()
        .filter(
            submission__user_id=reply.submission.user_id,
            submission__usage_key=reply.submission.usage_key,
            status=Status.PENDING,
            next_attempt_at__lte=database_now(),
        )
        .exclude(pk__in=tried)
        .order_by("pk")
        .first()
    )


def reply_to_apply(reply: ReceivedReply) -> ReplyToApply:
    """Return what a backend gets of a stored reply, which was read with ``read_at``."""
    submission = reply.submission
    score = reply.score_given or 0
    return ReplyToApply(
        reply_id=reply.pk,
        target=submission.target,
        queue_key=submission.queue_key,
        header=submission.content.header,
        # The column is a float; a grader's integer stays one in the learner's state.
        reply=GraderReply(
            correct=bool(reply.correct),
            score=int(score) if float(score).is_integer() else score,
            msg=reply.message,
        ),
        points=submission.content.points,
        score_is_fraction=queue_options(submission.queue_name).SCORE_SCALE == "fraction",
        sent_at=submission.created_at,
        age=cast(Any, reply).read_at - submission.created_at,
        is_failure=reply.source in ReceivedReply.FAILURES,
        submission_id=submission.pk,
    )


def replies_about(submission_id: object, answer_id: str) -> QuerySet[ReceivedReply]:
    """Return the applied replies to a submission that have graded this answer."""
    return ReceivedReply.objects.filter(
        submission_id=submission_id, answer_id=answer_id, status=Status.APPLIED
    )


def pending_replies_to(submission_id: object) -> QuerySet[ReceivedReply]:
    """Return the replies to a submission that will be attempted again."""
    return ReceivedReply.objects.filter(
        submission_id=submission_id, next_attempt_at__isnull=False, status=Status.PENDING
    )


def valid_replies_to(submission_ids: Collection[int]) -> tuple[set[int], set[int]]:
    """Return those of the submissions with a valid reply, and those that one is applied to soon.

    An applied reply, a stale one and a dead one are valid; a late one is not. One statement.
    """
    rows = ReceivedReply.objects.filter(submission_id__in=submission_ids).exclude(
        status__in=(Status.REJECTED, Status.LATE)
    )
    stored, soon = set(), set()
    for submission_id, again_at in rows.values_list("submission_id", "next_attempt_at"):
        stored.add(submission_id)
        if again_at is not None:
            soon.add(submission_id)
    return stored, soon


def last_error_of(submission_id: int) -> str:
    """Return why the newest reply to a submission was not applied; "" if that is not known."""
    replies = ReceivedReply.objects.filter(submission_id=submission_id).order_by("-pk")
    return replies.values_list("last_error", flat=True).first() or ""


@dataclass(frozen=True, slots=True)
class GradedSubmission:
    """A submission whose reply was applied: the learner's answer that it graded, and its points."""

    submission_id: int
    user_id: int
    usage_key: UsageKey
    answer_id: str
    points: float

    @property
    def answer(self) -> tuple[int, UsageKey, str]:
        """Return what identifies the answer of which there may be newer submissions."""
        return self.user_id, self.usage_key, self.answer_id


def graded_submissions(
    user_ids: Collection[int], usage_keys: Collection[UsageKey]
) -> list[GradedSubmission]:
    """Return the graded submissions of these learners at these blocks, oldest first.

    Regrades are not among them; the points are those of the newest applied regrade. One statement.
    """
    applied = ReceivedReply.objects.filter(
        submission__user_id__in=user_ids,
        submission__usage_key__in=usage_keys,
        status=Status.APPLIED,
    ).exclude(answer_id="")
    columns = ("submission__user_id", "submission__usage_key", "answer_id", "score_applied")
    rows = applied.order_by("submission_id", "pk").values_list(
        "submission_id", "submission__regrade_of", *columns
    )
    found: dict[int, GradedSubmission] = {}
    for pk, regrade_of, user_id, usage_key, answer_id, points in rows:
        if regrade_of is None:
            found[pk] = GradedSubmission(pk, user_id, usage_key, answer_id, points or 0)
        elif regrade_of in found:
            found[regrade_of] = replace(found[regrade_of], points=points or 0)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reply to a submission has led to; ``message`` is that of a failure reply only."""

    reply_id: int
    submission_id: int
    status: str
    source: ReceivedReply.Source
    correct: bool
    points: float | None
    answer_id: str
    applied_at: datetime | None
    message: str

    @property
    def is_failure(self) -> bool:
        return self.source in ReceivedReply.FAILURES

    @property
    def is_by_operator(self) -> bool:
        return self.source == ReceivedReply.Source.OPERATOR


def outcomes_of(submission_ids: Collection[int]) -> list[Outcome]:
    """Return the outcomes of the valid replies to these submissions, oldest first; one statement.

    The feedback of graders is not read.
    """
    rows = ReceivedReply.objects.filter(submission_id__in=submission_ids)
    columns = ("pk", "submission_id", "status", "source", "correct", "score_applied", "answer_id")
    is_failure = When(source__in=ReceivedReply.FAILURES, then="message")
    message = Case(is_failure, default=Value(""), output_field=TextField())
    found = (
        rows.exclude(status__in=(Status.REJECTED, Status.LATE))
        .order_by("pk")
        .values_list(*columns, "applied_at", message)
    )
    return [
        Outcome(pk, of, status, ReceivedReply.Source(source), bool(correct), *others)
        for pk, of, status, source, correct, *others in found
    ]


def is_replaced() -> Exists:
    """Match replies whose key a newer answer has: capa reuses a key within one second.

    Without a join, which MySQL allows in no UPDATE.
    """
    submission: Any = cast(Any, ReceivedReply.submission).field.related_model
    same = ("user_id", "usage_key", "dispatch", "queue_key")
    # Any client can make a callback store a row, so that row replaces no answer in the table.
    is_answer = Q(transport=OuterRef("transport")) | ~Q(transport=submission.Transport.LEGACY)
    newer = submission.objects.filter(
        is_answer, **{field: OuterRef(field) for field in same}, id__gt=OuterRef("pk")
    )
    return Exists(submission.objects.filter(Exists(newer), pk=OuterRef("submission_id")))
