"""The course team's table of submissions, and its CSV file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.db.batches import by_key
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.views.course_team.access import TeamCourse, course_staff_required
from xqueue_bridge.views.course_team.filters import SORTS, SubmissionFilter
from xqueue_bridge.views.formatting import format_points
from xqueue_bridge.views.learners import Learner, learners_by_id
from xqueue_bridge.views.tables import csv_response, header, query, read_page

#: Rows of the CSV file.
MAX_ROWS = 100_000
CSV_HEADER = ("id", "sent", "user_id", "username", "problem", "queue", "status", "deliveries")


@dataclass(frozen=True, slots=True)
class SubmissionRow:
    """One row of the table; ``points`` are None if no reply was applied."""

    submission: Submission
    learner: Learner
    points: float | None


@course_staff_required
@require_GET
def submissions(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Show a page of a course's submissions: ``?learner=&problem=&queue=&status=&since=&until=``.

    Seven statements at most, for any number of submissions, and those of COURSE_STAFF_CHECK.
    """
    form = SubmissionFilter(request.GET)
    if not form.is_valid():
        context = {"course": course, "form": form, "rows": [], "headers": []}
        return render(request, "xqueue_bridge/submissions.html", context, status=422)
    page = read_page(form.submissions(course.course_key), request.GET, SORTS)
    chosen = {name: request.GET[name] for name in form.fields if request.GET.get(name)}
    order = {"sort": page.sort, "order": "desc" if page.descending else "asc"}
    columns = [("sent", _("Sent")), ("learner", _("Learner")), ("", _("Problem"))]
    columns += [("queue", _("Queue")), ("status", _("Status")), ("", _("Points"))]
    context = {
        "course": course,
        "form": form,
        "rows": rows_of(page.rows),
        "headers": [
            header(sort, name, chosen, order, descending=("sent",)) for sort, name in columns
        ],
        "is_filtered": bool(chosen),
        "first": query(chosen, **order) if request.GET.get("after") else "",
        "next": query(chosen, **order, after=page.next) if page.next else "",
        "csv": query(chosen),
    }
    return render(request, "xqueue_bridge/submissions.html", context)


@course_staff_required
@require_GET
def submissions_csv(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Send the selected submissions, oldest first, as a CSV file of at most MAX_ROWS rows."""
    form = SubmissionFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return csv_response("submissions", course.course_key, _csv_lines(form, course.course_key))


def rows_of(found: Sequence[Submission]) -> list[SubmissionRow]:
    """Return the rows of submissions, with names and points; two statements."""
    ids = list(dict.fromkeys(each.user_id for each in found))
    learners = {each.user_id: each for each in learners_by_id(ids)}
    applied = ReceivedReply.objects.filter(
        submission__in=[each.pk for each in found], status=ReceivedReply.Status.APPLIED
    )
    points = dict(applied.order_by("pk").values_list("submission_id", "score_applied"))
    return [SubmissionRow(each, learners[each.user_id], points.get(each.pk)) for each in found]


def _csv_lines(form: SubmissionFilter, course_key: CourseKey) -> Iterator[Sequence[str]]:
    yield (*CSV_HEADER, "points")
    left = MAX_ROWS
    for batch in by_key(form.submissions(course_key)):
        for row in rows_of(batch[:left]):
            each = row.submission
            yield (
                str(each.pk),
                each.created_at.isoformat(),
                str(each.user_id),
                row.learner.username,
                str(each.usage_key),
                each.queue_name,
                each.status,
                str(each.deliveries),
                "" if row.points is None else format_points(row.points),
            )
        left -= len(batch)
        if left <= 0:
            return
