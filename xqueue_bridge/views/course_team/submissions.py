"""The course team's table of submissions, and its CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.views.course_team.access import TeamCourse, course_staff_required
from xqueue_bridge.views.course_team.filters import SubmissionFilter
from xqueue_bridge.views.formatting import format_points
from xqueue_bridge.views.learners import Learner, learners_by_id
from xqueue_bridge.views.tables import Column, table_context, table_csv


@dataclass(frozen=True, slots=True)
class SubmissionRow:
    """One row of the table; ``points`` are None if no reply was applied."""

    submission: Submission
    learner: Learner
    points: float | None

    @property
    def points_text(self) -> str:
        return "" if self.points is None else format_points(self.points)


SENT = Column("sent", _("Sent"), lambda row: row.submission.created_at, "pk", is_descending=True)
PROBLEM = Column("problem", _("Problem"), lambda row: row.submission.usage_key, "usage_key")
QUEUE = Column("queue", _("Queue"), lambda row: row.submission.queue_name, "queue_name")
STATUS = Column("status", _("Status"), lambda row: row.submission.status, "status")
POINTS = Column("points", _("Points"), lambda row: row.points_text)
COLUMNS = (
    SENT,
    Column("learner", _("Learner"), lambda row: row.learner.name, "user_id"),
    PROBLEM,
    QUEUE,
    STATUS,
    POINTS,
)
CSV_COLUMNS = (
    Column("id", "", lambda row: row.submission.pk),
    SENT,
    Column("user_id", "", lambda row: row.submission.user_id),
    Column("username", "", lambda row: row.learner.username),
    PROBLEM,
    QUEUE,
    STATUS,
    Column("deliveries", "", lambda row: row.submission.deliveries),
    POINTS,
)


@course_staff_required
@require_GET
def submissions(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Show a page of a course's submissions: ``?learner=&problem=&queue=&status=&since=&until=``.

    Eight statements at most, for any number of submissions, and those of COURSE_STAFF_CHECK.
    """
    form = SubmissionFilter(request.GET)
    context = {"course": course, "form": form}
    if not form.is_valid():
        return render(request, "xqueue_bridge/submissions.html", context, status=422)
    found = form.submissions(course.course_key)
    context |= table_context(request, form, found, COLUMNS, rows_of)
    return render(request, "xqueue_bridge/submissions.html", context)


@course_staff_required
@require_GET
def submissions_csv(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Send the selected submissions as a CSV file."""
    form = SubmissionFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    found, key = form.submissions(course.course_key), course.course_key
    return table_csv("submissions", key, found, CSV_COLUMNS, rows_of)


def rows_of(found: Sequence[Submission]) -> list[SubmissionRow]:
    """Return the rows of submissions, with names and points; two statements."""
    ids = list(dict.fromkeys(each.user_id for each in found))
    learners = {each.user_id: each for each in learners_by_id(ids)}
    applied = ReceivedReply.objects.filter(
        submission__in=[each.pk for each in found], status=ReceivedReply.Status.APPLIED
    )
    points = dict(applied.order_by("pk").values_list("submission_id", "score_applied"))
    return [SubmissionRow(each, learners[each.user_id], points.get(each.pk)) for each in found]
