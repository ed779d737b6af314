"""Figures of the newest graded submissions of one problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q
from django.utils.html import strip_tags
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.grader_replies.graded_tests import TABLE_START
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.rates import percentile
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.views.stored_rows import newest

#: Submissions that the figures are computed from, the newest ones.
SAMPLE = 2_000
#: Submissions that the list counts, the newest ones.
NEWEST = 100_000
#: Problems that the list shows.
MAX_PROBLEMS = 500
BINS = 10
#: Feedback texts that are shown, and the characters of each.
MAX_TEXTS, MAX_CHARACTERS = 5, 200


@dataclass(frozen=True, slots=True)
class ProblemCount:
    """A problem of the list, with the number of its submissions."""

    usage_key: UsageKey
    total: int
    failed: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Submissions with points above ``low`` (from 0: with 0, too) and up to ``high``."""

    low: float
    high: float
    number: int


@dataclass(frozen=True, slots=True)
class ProblemStatistics:
    """The figures; times in seconds, half and 95 % took no longer; None if nothing is known."""

    total: int
    failed: int
    bins: tuple[Bin, ...]
    waiting: tuple[float, float] | None
    grading: tuple[float, float] | None
    feedback: tuple[tuple[str, int], ...]

    @property
    def failed_share(self) -> float:
        return self.failed / self.total if self.total else 0.0


def problems_of(course_key: CourseKey) -> list[ProblemCount]:
    """Return the problems of a course with submissions, by name; two statements.

    They are counted among the newest NEWEST rows of the course.
    """
    rows, _is_part = newest(Submission.objects.filter(course_key=course_key), NEWEST)
    rows = rows.filter(regrade_of=None).order_by("usage_key")
    failed = Count("pk", filter=Q(status=Status.FAILED))
    counts = rows.values_list("usage_key").annotate(total=Count("pk"), failed=failed)
    return [ProblemCount(*row) for row in counts[:MAX_PROBLEMS]]


def statistics_of(course_key: CourseKey, usage_key: UsageKey) -> ProblemStatistics:
    """Return the figures of the newest SAMPLE submissions of a problem; two statements."""
    columns = ("pk", "status", "deliveries", "created_at", "leased_at", "finished_at")
    rows = list(
        Submission.objects.filter(
            course_key=course_key,
            usage_key=usage_key,
            status__in=(Status.ANSWERED, Status.FAILED),
            regrade_of=None,
        )
        .order_by("-pk")
        .values_list(*columns, named=True)[:SAMPLE]
    )
    replies = ReceivedReply.objects.filter(
        submission__in=[row.pk for row in rows],
        status=ReceivedReply.Status.APPLIED,
        source__in=(ReceivedReply.Source.PUT_RESULT, ReceivedReply.Source.CALLBACK),
    )
    graded = list(replies.order_by("pk").values_list("score_applied", "message"))
    points = [score for score, _message in graded if score is not None]
    # Of a submission that was delivered again, only the latest delivery's time is stored.
    first = [_seconds(row.created_at, row.leased_at) for row in rows if row.deliveries == 1]
    grading = [_seconds(row.leased_at, row.finished_at) for row in rows if row.status == "answered"]
    texts = Counter(_text(message) for _score, message in graded)
    return ProblemStatistics(
        total=len(rows),
        failed=sum(row.status == Status.FAILED for row in rows),
        bins=_bins(points),
        waiting=_percentiles(first),
        grading=_percentiles(grading),
        feedback=tuple(texts.most_common(MAX_TEXTS)),
    )


def _bins(points: Sequence[float]) -> tuple[Bin, ...]:
    """Return the distribution in BINS equal steps from 0 to the highest points."""
    highest = max(points, default=0.0) or 1.0
    numbers = [0] * BINS
    for value in points:
        # A value on a border counts below it, so that full points are in the last step.
        numbers[min(max(-int(-value / highest * BINS // 1) - 1, 0), BINS - 1)] += 1
    step = highest / BINS
    return tuple(Bin(n * step, (n + 1) * step, number) for n, number in enumerate(numbers))


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else max((end - begin).total_seconds(), 0.0)


def _percentiles(seconds: Sequence[float | None]) -> tuple[float, float] | None:
    known = sorted(each for each in seconds if each is not None)
    return (percentile(known, 0.5), percentile(known, 0.95)) if known else None


def _text(message: str) -> str:
    """Return the beginning of a feedback as text, without the table of its tests."""
    feedback = message.partition(TABLE_START)[0]
    text = " ".join(strip_tags(feedback.replace("<", " <")).split())
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
