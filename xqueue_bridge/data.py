"""Ground: the values that travel between rooms. Frozen, and free of Django."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import IO

from opaque_keys.edx.keys import LearningContextKey, UsageKey


class Dispatch(StrEnum):
    """What a block does with a reply; the last segment of its callback URL."""

    SCORE_UPDATE = "score_update"
    """Grade the answer."""
    UNGRADED_RESPONSE = "ungraded_response"
    """Show the output of a trial run (matlabinput's "Run Code"); no grade moves."""


class RetirementMode(StrEnum):
    """How a learner is forgotten."""

    SCRUB = "scrub"
    """Texts, fields and files go; rows with scores, times and ids stay."""
    PURGE = "purge"
    """Every row and file goes."""


@dataclass(frozen=True, slots=True)
class XHeader:
    """The LMS's header of a submission, parsed. Graders never see it."""

    lms_callback_url: str
    queue_key: str
    queue_name: str


@dataclass(frozen=True, slots=True)
class Target:
    """The place in a learner's state that a submission came from and its reply goes to."""

    user_id: int
    course_key: LearningContextKey
    usage_key: UsageKey
    dispatch: Dispatch


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file of a learner's answer, on its way into storage."""

    name: str
    content: IO[bytes]
    size: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a learner's answer, in storage."""

    name: str
    storage_name: str
    size: int


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """A learner's answer, ready for the submissions table.

    ``header`` and ``body`` are kept byte for byte. ``points`` maps each answer id of the
    problem to the points it is worth (empty if the block could not tell).
    """

    target: Target
    queue_name: str
    queue_key: str
    header: str
    body: str
    points: Mapping[str, float] = field(default_factory=dict)
    files: tuple[UploadedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class PulledSubmission:
    """What a grader is handed: one lease on one submission, its ``delivery``-th."""

    submission_id: int
    delivery: int
    pullkey: str
    body: str
    files: tuple[StoredFile, ...]


@dataclass(frozen=True, slots=True)
class GraderReply:
    """A reply that keeps the grade contract.

    ``score`` is a finite number exactly as the grader sent it; clamping to the answer's points
    is the backend's work. ``msg`` is well-formed, sanitised, and never empty.
    """

    correct: bool
    score: float
    msg: str


@dataclass(frozen=True, slots=True)
class ReplyToApply:
    """One reply on its way to a learner's state.

    ``points`` maps answer ids to their maximum (empty when unknown). ``score_is_fraction``:
    the grader's score is 0..1 of the answer's points, not points. ``header`` is the LMS's
    header as sent.
    """

    reply_id: int
    target: Target
    queue_key: str
    header: str
    reply: GraderReply
    points: Mapping[str, float]
    score_is_fraction: bool
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What a backend did with a delivery.

    ``applied`` is False when the learner's state does not wait for this queue key. ``points``
    and ``max_points`` are the answer's own, after clamping; None for an ungraded response or
    where the backend cannot know them.

    ``save`` is what is left to do for the learner's state to keep it, if anything is. It is called
    once, in one transaction with the note that the reply is applied: both are kept, or neither.
    """

    applied: bool
    points: float | None = None
    max_points: float | None = None
    save: Callable[[], None] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class BlockScore:
    """What a learner has at one block, in points before the block's weight.

    ``earned`` is None where the block was scored without an attempt. ``version`` grows with every
    write to the learner's row there.
    """

    earned: float | None
    possible: float
    first_attempted: datetime
    version: int
