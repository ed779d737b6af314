"""Everything that is stored about one submission, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.utils.translation import gettext as _
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms import capa
from xqueue_bridge.regrading.api import RegradeItem
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.views.formatting import format_points
from xqueue_bridge.views.reply_details import codes_for_staff, tests_for_staff

#: Entries of the learner's history that are shown.
MAX_ENTRIES = 100


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``feedback`` is sanitised HTML, as the learner sees it.

    ``note`` is the grader's note for staff; ``tests`` and ``codes`` are markup.
    """

    at: datetime
    title: str
    detail: str = ""
    feedback: str = ""
    note: str = ""
    tests: str = ""
    codes: str = ""


def events_of(submission: Submission, regrades: Iterable[RegradeItem] = ()) -> list[Event]:
    """Return the events of a submission and of its regrades, oldest first; three statements.

    Of deliveries the number and the latest are stored, not each one's time.
    """
    found = [*_own(submission), *_replies(submission), *_changes(submission), *_regrades(regrades)]
    return sorted(found, key=lambda event: event.at)


def _own(row: Submission) -> Iterator[Event]:
    yield Event(row.created_at, _("Sent"), _("to the queue %(queue)s") % {"queue": row.queue_name})
    if row.leased_at is not None:
        grader = row.grader.name if row.grader else _("a grader whose account was deleted")
        values = {"number": row.deliveries, "grader": grader}
        yield Event(row.leased_at, _("Delivery %(number)s") % values, grader)
        if row.status == Status.LEASED and row.available_at is not None:
            yield Event(row.available_at, _("The lease ends"), grader)
    if row.finished_at is not None:
        yield Event(row.finished_at, _("Finished"), str(Status(row.status).label))


def _replies(row: Submission) -> Iterator[Event]:
    for reply in row.replies.order_by("pk").defer("body"):
        values = {"status": reply.get_status_display(), "source": reply.get_source_display()}
        detail = _("%(source)s, %(status)s") % values
        if reply.last_error:
            detail = f"{detail}: {reply.last_error}"
        yield Event(
            reply.received_at,
            _("Reply"),
            detail,
            reply.message,
            reply.staff_note,
            tests_for_staff(reply.tests),
            codes_for_staff(reply.codes),
        )
        if reply.applied_at is not None and reply.status == ReceivedReply.Status.APPLIED:
            points = "" if reply.score_applied is None else format_points(reply.score_applied)
            yield Event(
                reply.applied_at, _("Applied"), _("Points: %(points)s") % {"points": points}
            )


def _changes(row: Submission) -> Iterator[Event]:
    usage_key: UsageKey = row.target.usage_key
    entries = learner_state.read_history(row.user_id, usage_key, row.target.course_key)
    for entry in islice(entries, MAX_ENTRIES):
        if entry.created < row.created_at:
            return
        is_waiting = row.queue_key in capa.waiting_keys(entry.state or {})
        reason = str(learner_state.Reason(entry.reason).label)
        waits = _("waits for this submission") if is_waiting else _("does not wait for it")
        yield Event(entry.created, _("Learner's state: %(reason)s") % {"reason": reason}, waits)


def _regrades(found: Iterable[RegradeItem]) -> Iterator[Event]:
    for item in found:
        values = {"id": item.regrade_id}
        yield Event(item.regrade.created_at, _("Regrade %(id)s was started") % values)
        points = [item.points_before, item.points_after]
        detail = str(item.get_status_display())
        if item.points_after is not None:
            before, after = ("-" if each is None else format_points(each) for each in points)
            detail = f"{detail}: {before} → {after}"
        if item.reason:
            detail = f"{detail}, {item.reason}"
        yield Event(item.changed_at, _("Regrade %(id)s") % values, detail)
