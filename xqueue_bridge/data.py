"""Immutable values that the subpackages exchange, without Django."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # graders parse replies, too, and need neither package
    from opaque_keys.edx.keys import CourseKey, LearningContextKey, UsageKey

    from xqueue_bridge.protocol.reply_warnings import ReplyWarning


class Dispatch(StrEnum):
    """Handler of a block that receives a reply; the last segment of its callback URL."""

    SCORE_UPDATE = "score_update"
    """Grade the answer."""
    UNGRADED_RESPONSE = "ungraded_response"
    """Show the output of a trial run (matlabinput's "Run Code") without changing a grade."""


class RetirementMode(StrEnum):
    """How a learner's data is retired."""

    SCRUB = "scrub"
    """Delete texts, fields and files; keep rows with scores, times and ids."""
    PURGE = "purge"
    """Delete every row and file."""


@dataclass(frozen=True, slots=True)
class XHeader:
    """The LMS's header of a submission, parsed. It is not sent to graders.

    ``text`` is the JSON as it was given.
    """

    lms_callback_url: str
    queue_key: str
    queue_name: str
    text: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LeaseHeader:
    """The header of a grader's result: the submission, and the pull key of its lease."""

    submission_id: int
    pullkey: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """The learner's block that a submission came from and its reply is applied to."""

    user_id: int
    course_key: LearningContextKey
    usage_key: UsageKey
    dispatch: Dispatch


@dataclass(frozen=True, slots=True)
class ProblemDescription:
    """What a learner's pages show of a problem, as far as it is known: DESCRIBE_PROBLEM returns it.

    ``url`` is the page with the problem. ``weight``: the points that the whole problem is worth;
    None: as many as its answers have.
    """

    name: str = ""
    course_name: str = ""
    url: str = ""
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file of a learner's answer, not stored yet."""

    name: str
    content: IO[bytes]
    size: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One stored file of a learner's answer."""

    name: str
    storage_name: str
    size: int


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """A learner's answer, ready for the Submission table.

    ``header`` and ``body`` are kept byte for byte. ``points`` maps each answer id of the
    problem to its maximum points (empty if the block could not tell).
    """

    target: Target
    queue_name: str
    queue_key: str
    header: str
    body: str
    points: Mapping[str, float] = field(default_factory=dict)
    files: tuple[UploadedFile, ...] = ()
    #: The reply is posted to the header's callback URL.
    answers_by_callback: bool = False


@dataclass(frozen=True, slots=True)
class PulledSubmission:
    """The ``delivery``-th delivery of a submission to a grader, with its lease."""

    submission_id: int
    delivery: int
    pullkey: str
    body: str
    files: tuple[StoredFile, ...]
    #: Answer id to maximum points; empty if unknown.
    points: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GradedTest:
    """One test of an answer, with points of its own.

    ``message`` is plain text. Learners do not see a test that is not ``visible``.
    """

    name: str
    score: float
    max_score: float
    message: str = ""
    visible: bool = True


@dataclass(frozen=True, slots=True)
class GraderReply:
    """A reply that keeps the grade contract.

    ``score`` is a finite number exactly as the grader sent it; the reply backend clamps it to the
    answer's points. ``msg`` is well-formed, sanitised, and never empty; the table of ``tests`` is
    not part of it. ``warnings`` say what was changed.
    """

    correct: bool
    score: float
    msg: str
    tests: tuple[GradedTest, ...] = ()
    staff_note: str = field(default="", repr=False)
    warnings: tuple[ReplyWarning, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ReplyToApply:
    """One reply to be applied to a learner's state.

    ``points`` maps answer ids to their maximum (empty when unknown). If ``score_is_fraction``,
    the grader's score is 0..1 of the answer's points instead of points. ``header`` is the LMS's
    header as sent. ``age``, the time since ``sent_at``, is by the database's clock, which all hosts
    share.
    """

    reply_id: int
    target: Target
    queue_key: str
    header: str
    reply: GraderReply
    points: Mapping[str, float]
    score_is_fraction: bool
    sent_at: datetime
    age: timedelta
    #: The bridge wrote the reply, because no grader could grade the answer.
    is_failure: bool = False
    submission_id: int = 0


@dataclass(frozen=True, slots=True)
class ReopenRequest:
    """A failed submission whose reply the learner's state is to wait for again.

    ``body`` is what the block sent. ``newer`` has the queue keys and bodies of the later
    submissions of the same learner and block.
    """

    target: Target
    queue_key: str
    body: str
    newer: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """The result of a reply backend's attempt.

    ``applied`` is False when the learner's state does not wait for this queue key. ``points``
    and ``max_points`` are the answer's own, after clamping; None for an ungraded response or
    if the backend cannot know them. ``answer_id`` is that of the graded answer, "" if not known.
    ``refusal`` says why the reply will not be applied by a later attempt either.
    """

    applied: bool
    points: float | None = None
    max_points: float | None = None
    answer_id: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class ExternalGrade:
    """A grade that was applied, as EXTERNAL_GRADER_SCORE_SUBMITTED announces it.

    ``anonymous_user_id`` is the learner's id for graders. ``score_msg`` is the reply as it was
    applied, as JSON.
    """

    submission_id: int
    anonymous_user_id: str
    course_key: LearningContextKey
    usage_key: UsageKey
    queue_key: str = field(repr=False)
    queue_name: str
    earned: float
    possible: float
    score_msg: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BlockScore:
    """A learner's score at one block, in points before the block's weight.

    ``earned`` is None if the block was scored without an attempt. ``version`` increases with every
    write to the learner's StudentModule row.
    """

    earned: float | None
    possible: float
    first_attempted: datetime
    version: int


@dataclass(frozen=True, slots=True)
class SavedScore:
    """A learner's score at one block that is being written.

    ``version`` is that of the learner's StudentModule row after the write; None: the score is
    deleted.
    """

    user_id: int
    course_key: LearningContextKey
    usage_key: UsageKey
    version: int | None


class GradeVersion(NamedTuple):
    """Identifies one version of a learner's stored course grade: each change has another one."""

    user_id: int
    course_key: CourseKey
    version: int
    modified: datetime
