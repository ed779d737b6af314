"""Find stuck answers: compare what learners' states wait for with submissions and replies."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.learner_state.api import WaitingAnswer
from xqueue_bridge.lms.student_module import student_module as platform_model
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.stuck_answers.kinds import Kind, StuckAnswer
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.xqueue_service import api as xqueue_service

Status = submission_queue.Status

#: A state that was written later is not looked at: its submission may be on its way.
OLDER_THAN = timedelta(hours=1)
#: Bounds of one scan; the next one goes on where it ended.
MAX_SECONDS, MAX_FOUND = 2.0, 100


@dataclass(slots=True)
class Scan:
    """The stuck answers of one scan, in the order of their states' rows.

    ``waiting`` counts the answers that were looked at. ``at_legacy_server`` counts those without a
    submission in courses whose submissions go to a legacy XQueue server, which has them. ``next``
    is what the next scan begins after; None if this one has reached the last row.
    """

    answers: list[StuckAnswer] = field(default_factory=list)
    waiting: int = 0
    at_legacy_server: int = 0
    next: int | None = None


def can_find() -> str:
    """Return why stuck answers cannot be found in this installation; "": they can."""
    if grader_replies.reads_state():
        return ""
    return "an LMS in another process has the learners' state (REPLY_BACKEND)"


def reads_platform() -> bool:
    """Return whether the LMS's own table has the state to which replies are applied."""
    return not grader_replies.get_reply_backend().state_is_ours and platform_model() is not None


def find(
    course_key: LearningContextKey | None = None,
    *,
    after: int = 0,
    older_than: timedelta = OLDER_THAN,
    seconds: float = MAX_SECONDS,
    most: int = MAX_FOUND,
) -> Scan:
    """Return stuck answers of one course, or of all, from the row after ``after`` on.

    It ends after ``seconds``, when ``most`` are found, or at the last row. Two statements for each
    page of states, and three if some of them wait, and few more.
    """
    end, scan, at = time.monotonic() + seconds, Scan(), after
    while True:
        waiting, last = learner_state.waiting_page(at, course_key, of_platform=reads_platform())
        _add(scan, [each for each in waiting if each.since < timezone.now() - older_than])
        if last is None:
            return scan
        at = last
        if len(scan.answers) >= most or time.monotonic() >= end:
            scan.next = at
            return scan


def stuck_among(waiting: Sequence[WaitingAnswer]) -> list[StuckAnswer]:
    """Return those of the waiting answers that are stuck."""
    stored = submission_queue.find_waited_for([(each.target, each.queue_key) for each in waiting])
    regrades = [each for each in waiting if each.queue_key.startswith("regrade-")]
    open_keys = regrading.open_keys({each.target.user_id for each in regrades}) if regrades else ()
    found = (_stuck(each, stored.get((each.target, each.queue_key)), open_keys) for each in waiting)
    return [each for each in found if each is not None]


def _add(scan: Scan, waiting: Sequence[WaitingAnswer]) -> None:
    scan.waiting += len(waiting)
    if not waiting:
        return
    at_server: dict[LearningContextKey, bool] = {}
    for answer in stuck_among(waiting):
        course_key = answer.target.course_key
        if answer.kind == Kind.LOST and course_key not in at_server:
            in_table = xqueue_service.use_edx_submissions_for_xqueue(course_key)
            at_server[course_key] = not in_table
        if answer.kind == Kind.LOST and at_server[course_key]:
            scan.at_legacy_server += 1
        else:
            scan.answers.append(answer)


def _stuck(
    waiting: WaitingAnswer,
    stored: submission_queue.WaitedFor | None,
    open_keys: Collection[str],
) -> StuckAnswer | None:
    if stored is not None and (
        stored.has_pending_reply or stored.status in (Status.WAITING, Status.LEASED, Status.RETIRED)
    ):
        return None
    if waiting.queue_key.startswith("regrade-"):
        is_open = waiting.queue_key in open_keys
        return None if is_open else StuckAnswer(waiting, Kind.REGRADE)
    if stored is None:
        return StuckAnswer(waiting, Kind.LOST)
    if stored.status == Status.FAILED:
        kind = Kind.FAILED
    else:
        kind = Kind.NOT_APPLIED if stored.has_reply else Kind.NO_REPLY
    return StuckAnswer(waiting, kind, stored.submission_id, stored.has_body)
