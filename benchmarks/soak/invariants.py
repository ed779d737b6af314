"""What must be true when a run has ended, read from the database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from django.core.management import call_command
from django.db.models import Count, Q

from benchmarks.soak.world import COURSE
from xqueue_bridge.models import (
    GradeRecalculation,
    PersistentCourseGrade,
    ReceivedReply,
    StudentModule,
    Submission,
)


def is_drained() -> bool:
    """Return whether no work is left: no submission, no reply, no recalculation."""
    return not (
        Submission.objects.filter(available_at__isnull=False).exists()
        or ReceivedReply.objects.filter(status="pending").exists()
        or GradeRecalculation.objects.filter(next_attempt_at__isnull=False).exists()
    )


def violations(folder: Path) -> Iterator[str]:
    """Yield each invariant that does not hold, with its number of cases."""
    retired = [int(path.name.removeprefix("retired-")) for path in folder.glob("retired-*")]
    if not is_drained():
        yield f"work is left: {_open_work()}"
    twice = (
        Submission.objects.annotate(n=Count("replies", filter=Q(replies__status="applied")))
        .filter(n__gt=1)
        .count()
    )
    if twice:
        yield f"{twice} submissions have two applied replies"
    yield from _states(retired)
    yield from _grades()
    kept = Submission.objects.filter(user_id__in=retired).exclude(content__body="").count()
    if kept:
        yield f"{kept} answers of retired learners are kept"


def _open_work() -> str:
    statuses = Counter(Submission.objects.values_list("status", flat=True))
    replies = Counter(ReceivedReply.objects.values_list("status", flat=True))
    due = GradeRecalculation.objects.filter(next_attempt_at__isnull=False).count()
    return f"submissions {dict(statuses)}, replies {dict(replies)}, recalculations {due}"


def _states(retired: list[int]) -> Iterator[str]:
    waiting = wrong = 0
    for row in StudentModule.objects.exclude(student_id__in=retired).iterator():
        state = json.loads(row.state or "{}")
        entries = (state.get("correct_map") or {}).values()
        waiting += any(entry.get("queuestate") for entry in entries)
        newest = (
            ReceivedReply.objects.filter(
                submission__user_id=row.student_id,
                submission__usage_key=row.module_state_key,
                status="applied",
            )
            .order_by("-submission_id")
            .first()
        )
        # A state that was deleted or reset since has no grade.
        if row.grade is not None and newest is not None and entries:
            wrong += row.grade != newest.score_applied
    if waiting:
        yield f"{waiting} learners' blocks still wait for a reply"
    if wrong:
        yield f"{wrong} grades are not those of the newest applied reply"


def _grades() -> Iterator[str]:
    """Compare each course grade with the one that is computed from nothing."""
    stored = dict(PersistentCourseGrade.objects.values_list("user_id", "exact_percent"))
    call_command("xqueue_bridge_compute_grades", str(COURSE), verbosity=0)
    computed = dict(PersistentCourseGrade.objects.values_list("user_id", "exact_percent"))
    wrong = sum(stored[user_id] != computed.get(user_id) for user_id in stored)
    if wrong:
        yield f"{wrong} of {len(stored)} course grades differ from a computation from nothing"
