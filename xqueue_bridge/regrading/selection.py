"""Which submissions a regrade takes: those of a course, and of each answer the newest only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.db.batches import by_key
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.regrading.models import UNFINISHED, RegradeItem
from xqueue_bridge.submission_queue import api as submission_queue

#: Submissions of one regrade; a larger selection is refused.
MAX_SUBMISSIONS = 50_000


@dataclass(frozen=True, slots=True)
class Selection:
    """The submissions of a course that a course team wants graded again.

    Each condition narrows the selection; None and False do not.
    """

    course_key: CourseKey
    submission_id: int | None = None
    usage_key: UsageKey | None = None
    queue_name: str | None = None
    since: datetime | None = None
    only_failed: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A submission that can be graded again: the answer that it graded, and its points."""

    original_id: int
    user_id: int
    usage_key: UsageKey
    queue_name: str
    answer_id: str
    points: float


@dataclass(slots=True)
class Found:
    """What a selection contains: the candidates, and how many submissions are left out, and why."""

    candidates: list[Candidate] = field(default_factory=list)
    #: The learner has answered again since.
    replaced: int = 0
    #: No reply to it was applied.
    without_grade: int = 0
    #: Another regrade that is not finished has it.
    in_other_regrade: int = 0


def find(selection: Selection) -> Found:
    """Return the candidates of a selection. Raise InvalidField if it is empty or too large.

    Three statements for each 500 submissions, and one.
    """
    rows = _rows(selection)
    if rows.order_by()[: MAX_SUBMISSIONS + 1].count() > MAX_SUBMISSIONS:
        raise InvalidField(
            "since", f"these are more than {MAX_SUBMISSIONS} submissions; choose fewer"
        )
    found = Found()
    columns = rows.values_list("pk", "user_id", "usage_key", "queue_name", named=True)
    for batch in by_key(columns):
        _sort_out(batch, found)
    return found


def _rows(selection: Selection) -> QuerySet[Any]:
    rows = submission_queue.regradable(selection.course_key)
    if selection.submission_id is not None:
        rows = rows.filter(pk=selection.submission_id)
    if selection.usage_key is not None:
        rows = rows.filter(usage_key=selection.usage_key)
    if selection.queue_name is not None:
        rows = rows.filter(queue_name=selection.queue_name)
    if selection.since is not None:
        rows = rows.filter(created_at__gte=selection.since)
    if selection.only_failed:
        rows = rows.filter(status=submission_queue.Status.FAILED)
    return rows


def _sort_out(batch: list[Any], found: Found) -> None:
    users = {row.user_id for row in batch}
    blocks = {row.usage_key for row in batch}
    graded = grader_replies.graded_submissions(users, blocks)
    by_id = {each.submission_id: each for each in graded}
    newest = {each.answer: each.submission_id for each in graded}
    busy = set(
        RegradeItem.objects.filter(
            original_id__in=[row.pk for row in batch],
            user_id__in=users,
            status__in=UNFINISHED,
        ).values_list("original_id", flat=True)
    )
    for row in batch:
        pk = row.pk
        answer = by_id.get(pk)
        if answer is None:
            found.without_grade += 1
        elif newest[answer.answer] != pk:
            found.replaced += 1
        elif pk in busy:
            found.in_other_regrade += 1
        else:
            found.candidates.append(
                Candidate(
                    pk,
                    row.user_id,
                    row.usage_key,
                    row.queue_name,
                    answer.answer_id,
                    answer.points,
                )
            )
