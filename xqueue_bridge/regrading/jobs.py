"""Start, pause, resume and cancel a regrade; its progress."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from django.db.models import Count
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.regrading.models import FINAL, Regrade, RegradeItem
from xqueue_bridge.regrading.selection import Candidate, Selection, find

Status = RegradeItem.Status

#: Maximum of ``per_minute``. The sweeper releases at most MAX_OPEN regrades of a queue at once.
MAX_PER_MINUTE = 600
#: Items inserted with one statement.
BATCH = 500
#: The change of a regrade's status -> the statuses that it may have before.
ALLOWED = {
    Regrade.Status.PAUSED: (Regrade.Status.RUNNING,),
    Regrade.Status.RUNNING: (Regrade.Status.PAUSED,),
    Regrade.Status.CANCELLED: (Regrade.Status.RUNNING, Regrade.Status.PAUSED),
}


@dataclass(frozen=True, slots=True)
class RegradeOptions:
    """How a regrade is done."""

    only_if_higher: bool = False
    keep_feedback: bool = True
    per_minute: int = 60


@dataclass(frozen=True, slots=True)
class RegradeProgress:
    """The number of a regrade's items in each status."""

    counts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        return sum(self.counts.get(status, 0) for status in FINAL)

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 1.0


def can_regrade() -> str:
    """Return why replies to regrades cannot be applied in this installation; "": they can."""
    if isinstance(grader_replies.get_reply_backend(), grader_replies.RegradeBackend):
        return ""
    return "the reply backend of this installation cannot replace a grade (REPLY_BACKEND)"


def start(
    selection: Selection, options: RegradeOptions, *, author_id: int | None = None
) -> Regrade:
    """Store a regrade of the selected submissions, which the sweeper offers to graders.

    Raise InvalidField if nothing is selected, or an option is not possible. Regrade and items are
    stored in one transaction: one statement for each ``BATCH`` items, and one.
    """
    check_options(options)
    candidates = find(selection).candidates
    if not candidates:
        raise InvalidField("scope", "no submission of this course can be graded again")
    return in_transaction(partial(_store, selection, options, author_id, candidates))


def check_options(options: RegradeOptions) -> None:
    """Raise InvalidField if this installation cannot regrade in this way."""
    if problem := can_regrade():
        raise InvalidField("REPLY_BACKEND", problem)
    if not 1 <= options.per_minute <= MAX_PER_MINUTE:
        raise InvalidField("per_minute", f"choose a number from 1 to {MAX_PER_MINUTE}")
    # The previous feedback can be hidden, and put back, in our own table only.
    if not options.keep_feedback and not grader_replies.get_reply_backend().state_is_ours:
        raise InvalidField("keep_feedback", "this installation always keeps the feedback")


def pause(regrade_id: int) -> bool:
    """Stop offering submissions of a running regrade to graders; return whether it ran."""
    return _change(regrade_id, Regrade.Status.PAUSED)


def resume(regrade_id: int) -> bool:
    """Continue a paused regrade; return whether it was paused."""
    return _change(regrade_id, Regrade.Status.RUNNING)


def cancel(regrade_id: int) -> bool:
    """End a regrade: learners keep the grades they have; return whether it was not ended.

    Two statements. The sweeper then supersedes the submissions that graders were offered.
    """

    def work() -> bool:
        if not _change(regrade_id, Regrade.Status.CANCELLED):
            return False
        RegradeItem.objects.filter(regrade_id=regrade_id, status=Status.PLANNED).update(
            status=Status.CANCELLED, changed_at=database_now()
        )
        return True

    return in_transaction(work)


def progress(regrade_ids: Collection[int]) -> dict[int, RegradeProgress]:
    """Return the progress of regrades, by id; one statement."""
    rows = RegradeItem.objects.filter(regrade_id__in=regrade_ids).order_by()
    counts: dict[int, dict[str, int]] = {pk: {} for pk in regrade_ids}
    for pk, status, number in rows.values_list("regrade_id", "status").annotate(n=Count("pk")):
        counts[pk][status] = number
    return {pk: RegradeProgress(each) for pk, each in counts.items()}


def regrades_of(
    course_key: LearningContextKey, limit: int = 100, *, before: int | None = None
) -> list[Regrade]:
    """Return a course's regrades, newest first; those started before the one with an id."""
    found = Regrade.objects.filter(course_key=course_key)
    if before is not None:
        found = found.filter(pk__lt=before)
    return list(found.order_by("-pk")[:limit])


def _change(regrade_id: int, status: str) -> bool:
    allowed = ALLOWED[Regrade.Status(status)]
    changes: dict[str, object] = {"status": status}
    if status == Regrade.Status.RUNNING:
        changes["released_until"] = database_now()  # the pause itself gives no pace
    return bool(Regrade.objects.filter(pk=regrade_id, status__in=allowed).update(**changes))


def _store(
    selection: Selection,
    options: RegradeOptions,
    author_id: int | None,
    candidates: list[Candidate],
) -> Regrade:
    now = database_now()
    regrade = Regrade.objects.create(
        course_key=selection.course_key,
        scope=_scope(selection),
        usage_key=selection.usage_key,
        queue_name=selection.queue_name or "",
        since=selection.since,
        only_if_higher=options.only_if_higher,
        keep_feedback=options.keep_feedback,
        per_minute=options.per_minute,
        author_id=author_id,
        created_at=now,
        released_until=now,
    )
    RegradeItem.objects.bulk_create(
        [
            RegradeItem(
                regrade=regrade,
                original_id=each.original_id,
                user_id=each.user_id,
                usage_key=each.usage_key,
                queue_name=each.queue_name,
                answer_id=each.answer_id,
                points_before=each.points,
                changed_at=now,
            )
            for each in candidates
        ],
        batch_size=BATCH,
    )
    return regrade


def _scope(selection: Selection) -> str:
    if selection.submission_id is not None:
        return Regrade.Scope.SUBMISSION
    if selection.only_failed:
        return Regrade.Scope.FAILED
    return Regrade.Scope.PROBLEM if selection.usage_key is not None else Regrade.Scope.QUEUE
