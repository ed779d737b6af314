"""The fields of a log record about a submission, which a structured log writes beside the text.

They are passed as ``extra``, so each is an attribute of the record. None contains a learner's text
or a secret. ``docs/references/log_records.rst`` describes them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Protocol, TypedDict

from opaque_keys.edx.keys import LearningContextKey, UsageKey


class Step(StrEnum):
    """What has happened to a submission."""

    QUEUED = "queued"
    PULLED = "pulled"
    #: Its grader was gone before it had received the submission.
    GIVEN_BACK = "given_back"
    #: An operator has revoked the access of the grader that held it.
    RELEASED = "released"
    MOVED = "moved"
    ANSWERED = "answered"
    REFUSED = "refused"
    #: A result came after the submission had failed.
    LATE = "late"
    APPLIED = "applied"
    #: An attempt to apply the reply has failed.
    RETRY = "retry"
    DEAD = "dead"
    STALE = "stale"
    REJECTED = "rejected"
    FAILED = "failed"
    #: An operator has ended the grading.
    ENDED = "ended"
    REQUEUED = "requeued"
    #: A newer answer or a reset has replaced it while a grader holds it.
    REPLACED = "replaced"
    SUPERSEDED = "superseded"
    RETIRED = "retired"


class LogFields(TypedDict, total=False):
    """The fields; each record has those that are known where it is written."""

    step: Step
    submission_id: int | None
    reply_id: int
    queue_name: str
    #: The id of a grader account, also of one that submits.
    grader_id: int | None
    user_id: int | None
    course_key: LearningContextKey
    usage_key: UsageKey | None


_TEXTS: dict[Literal["submission_id", "queue_name", "user_id", "usage_key"], str] = {
    "submission_id": "submission {}",
    "queue_name": "queue {!r}",
    "user_id": "learner {}",
    "usage_key": "block {}",
}


class LearnersBlock(Protocol):
    """A learner's block: a ``Target``, or a row of ``Submission``."""

    @property
    def user_id(self) -> int: ...
    @property
    def course_key(self) -> LearningContextKey: ...
    @property
    def usage_key(self) -> UsageKey: ...


def about(block: LearnersBlock, queue_name: str | None = None) -> LogFields:
    """Return the fields of a record about a learner's block, and a queue if it is named."""
    fields = LogFields(
        user_id=block.user_id, course_key=block.course_key, usage_key=block.usage_key
    )
    return fields if queue_name is None else fields | LogFields(queue_name=queue_name)


def named(fields: LogFields) -> str:
    """Return submission, queue, learner and block as a record's text names them.

    A log without fields has them in the text only.
    """
    return ", ".join(
        text.format(fields[name]) for name, text in _TEXTS.items() if fields.get(name) is not None
    )
