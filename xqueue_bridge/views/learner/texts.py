"""The texts about an answer on its way, for every page that a learner sees."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from html import unescape
from math import ceil

from django.utils.formats import number_format
from django.utils.html import strip_tags
from django.utils.translation import gettext as _

from xqueue_bridge.grader_replies.api import ENDED_MESSAGE, FAILURE_MESSAGE
from xqueue_bridge.submission_queue.api import MAX_AHEAD, AnswerStatus, Stage
from xqueue_bridge.views.formatting import format_duration, format_points


def headline(status: AnswerStatus, points: float | None, possible: float | None) -> str:
    """Return the status in one short text, with the points if they are shown."""
    if status.stage == Stage.GRADED and points is not None:
        return points_text(points, possible)
    return {
        Stage.WAITING: _("Waiting for a grader"),
        Stage.GRADING: _("Being graded"),
        Stage.APPLYING: _("Graded, and being entered"),
        Stage.GRADED: _("Graded"),
        Stage.FAILED: _("Not graded"),
        Stage.STOPPED: _("Grading was ended by staff"),
        Stage.DEAD: _("Graded, but not entered"),
        Stage.ENDED: _("Not graded any more"),
    }[status.stage]


def lines(status: AnswerStatus, shows_result: bool, now: datetime) -> Iterator[str]:
    """Yield what the learner has to know besides the headline, and what to do next."""
    if status.stage == Stage.WAITING:
        yield from _waiting(status)
    elif status.stage == Stage.GRADING and status.since is not None:
        duration = format_duration(max((now - status.since).total_seconds(), 0))
        yield _("A grader has worked on it for %(duration)s.") % {"duration": duration}
    elif status.stage == Stage.APPLYING:
        yield _("The points are shown in a moment.")
    elif status.stage == Stage.GRADED:
        if not shows_result:
            yield _("The course does not show the result, or not yet.")
        if status.is_regraded:
            yield _("The course team lets it be graded again.")
    elif status.stage == Stage.FAILED:
        yield unescape(strip_tags(status.message)) or str(FAILURE_MESSAGE)
        yield from _attempt(status)
    elif status.stage == Stage.STOPPED:
        yield str(ENDED_MESSAGE)
        yield from _attempt(status)
    elif status.stage == Stage.DEAD:
        yield _(
            "Please notify the course staff. Your answer and its grade are stored, so you need not "
            "submit it again."
        )
    elif status.stage == Stage.ENDED and status.is_replaced:
        yield _("You have submitted a newer answer since, or reset the problem.")
    elif status.stage == Stage.ENDED:
        yield _("The problem was reset since. You can submit a new answer.")


def points_text(points: float, possible: float | None) -> str:
    """Return the points of an answer: "2 of 3 points"."""
    earned = number_format(format_points(points))
    if possible is None:
        return _("Points: %(points)s") % {"points": earned}
    maximum = number_format(format_points(possible))
    return _("%(earned)s of %(possible)s points") % {"earned": earned, "possible": maximum}


def position_text(position: int | None) -> str:
    """Return the position in the queue; None: a grader has the answer."""
    if position is None:
        return _("A grader works on it.")
    if position == 1:
        return _("Next in the queue.")
    if position > MAX_AHEAD:
        number = number_format(MAX_AHEAD, force_grouping=True)
        return _("More than %(number)s answers are ahead of it in the queue.") % {"number": number}
    return _("Number %(position)s in the queue.") % {"position": position}


def warning_text(has_grader: bool, is_paused: bool) -> str:
    """Return what a learner is told while graders pull nothing from the queue, "" if they do."""
    if is_paused:
        return _(
            "Grading is paused by staff. The answer keeps its position, and is graded when grading "
            "goes on."
        )
    if not has_grader:
        return _(
            "No grader is running now. The answer keeps its position, and is graded when a grader "
            "runs again."
        )
    return ""


def estimate_text(shortest: float, longest: float | None) -> str:
    """Return the range of seconds in which the grade is expected; None: no end can be told."""
    low = format_duration(shortest)
    if longest is None:
        return _("The grade is expected in %(time)s at the earliest.") % {"time": low}
    high = format_duration(_rounded_up(longest))
    if low == high:
        return _("The grade is expected in about %(time)s.") % {"time": low}
    return _("The grade is expected in %(low)s to %(high)s.") % {"low": low, "high": high}


def _attempt(status: AnswerStatus) -> Iterator[str]:
    """Yield whether the attempt counts, once the learner's state says so."""
    if status.is_attempt_returned:
        yield _("This attempt does not count.")
    elif status.reply_id is not None:
        yield _("This attempt counts. The course staff can give it back to you.")


def _waiting(status: AnswerStatus) -> Iterator[str]:
    yield position_text(status.position)
    if warning := warning_text(status.has_grader, status.is_paused):
        yield warning
    elif status.seconds is not None:
        yield estimate_text(*status.seconds)
    yield _("If you submit again, the new answer goes to the end of the queue.")


def _rounded_up(seconds: float) -> int:
    """Return seconds rounded up to the unit in which ``format_duration`` shows them."""
    unit = 3600 if seconds >= 3600 else 60 if seconds >= 60 else 1
    return max(ceil(seconds / unit) * unit, 1)
