"""Learners' states that wait for graders, in pages of ascending row id."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from django.db.models import Q, QuerySet
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.learner_state.encoding import decode
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.lms import capa
from xqueue_bridge.lms import student_module as platform_state
from xqueue_bridge.lms.keys import with_run

#: Rows that one page looks at.
PAGE = 1_000
#: In the text of each state that waits, and in few others; both programs write this form.
WAITING = Q(state__contains='"queuestate": {') | Q(state__contains='"queuestate": "queued"')
COLUMNS = ("pk", "student_id", "course_id", "module_state_key", "modified", "state")

_Row: TypeAlias = tuple[int, int, LearningContextKey, UsageKey, datetime, str]


@dataclass(frozen=True, slots=True)
class WaitingAnswer:
    """One answer of a state, and since when the row of that state was not written."""

    row_id: int
    target: Target
    queue_key: str = field(repr=False)
    since: datetime


def waiting_page(
    after: int, course_key: LearningContextKey | None = None, *, of_platform: bool = False
) -> tuple[list[WaitingAnswer], int | None]:
    """Return the answers that wait in the PAGE rows after a row id, and the last row's id.

    None instead of the id: no rows follow. ``of_platform``: the LMS's own table is read. Two
    statements.
    """
    rows = _rows(of_platform)
    if course_key is not None:
        rows = rows.filter(course_id=course_key)
    ids = list(rows.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:PAGE])
    if not ids:
        return [], None
    # The range comes first, so that the texts of this page only are searched.
    page = rows.filter(WAITING, pk__gt=after, pk__lte=ids[-1]).order_by("pk")
    found = _answers(page.values_list(*COLUMNS))
    return found, ids[-1] if len(ids) == PAGE else None


def waiting_answers(
    row_ids: Collection[int],
    course_key: LearningContextKey | None = None,
    *,
    of_platform: bool = False,
    lock: bool = False,
) -> list[WaitingAnswer]:
    """Return the answers that wait in these rows, of one course or of all; one statement.

    ``lock`` keeps the rows locked until the caller's transaction ends.
    """
    rows = _rows(of_platform).filter(pk__in=row_ids)
    if lock:
        rows = rows.select_for_update()
    if course_key is not None:
        rows = rows.filter(course_id=course_key)
    return _answers(rows.order_by("pk").values_list(*COLUMNS))


def _rows(of_platform: bool) -> QuerySet[StudentModule]:
    platform_model = platform_state.student_module() if of_platform else None
    # Its columns have the same names as ours.
    model = StudentModule if platform_model is None else platform_model
    return model._default_manager.all()  # type: ignore[return-value]


def _answers(rows: Iterable[_Row]) -> list[WaitingAnswer]:
    return [
        WaitingAnswer(pk, Target(user_id, course_key, key, dispatch), queue_key, modified)
        for pk, user_id, course_key, usage_key, modified, text in rows
        for key, state in [(with_run(usage_key, course_key), decode(text))]
        for dispatch, keys in (
            (Dispatch.SCORE_UPDATE, capa.waiting_answers(state)),
            (Dispatch.UNGRADED_RESPONSE, capa.waiting_inputs(state)),
        )
        for queue_key in keys
    ]
