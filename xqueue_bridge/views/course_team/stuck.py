"""The course team's page of stuck answers: find them, repair them, and their CSV file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_http_methods
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.stuck_answers import api as stuck_answers
from xqueue_bridge.stuck_answers.api import Outcome, StuckAnswer
from xqueue_bridge.views.course_team.access import TeamCourse, course_staff_required
from xqueue_bridge.views.learners import Learner, learners_by_id
from xqueue_bridge.views.tables import csv_response, query, read_number

#: Rows of a POST, and scans of the CSV file.
MAX_ROWS, MAX_SCANS = 200, 100
CSV_HEADER = ("user_id", "username", "problem", "unchanged_since", "kind", "submission", "repair")


@course_staff_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def stuck(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Search a part of the course's states for stuck answers; a POST repairs the chosen ones.

    ``?after=`` goes on where the previous search ended.
    """
    problem = stuck_answers.can_find()
    if problem:
        return render(request, "xqueue_bridge/stuck.html", {"course": course, "problem": problem})
    if request.method == "POST":
        return _repair(request, course)
    scan = stuck_answers.find(course.course_key, after=read_number(request.GET.get("after", "")))
    context = {
        "course": course,
        "scan": scan,
        "rows": _with_names(scan.answers),
        "first": request.path if request.GET.get("after") else "",
        "next": query({}, after=scan.next) if scan.next is not None else "",
        "hours": stuck_answers.OLDER_THAN // timedelta(hours=1),
    }
    return render(request, "xqueue_bridge/stuck.html", context)


@course_staff_required
@require_GET
def stuck_csv(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Send the stuck answers of the course as a CSV file, of MAX_SCANS searches at most."""
    return csv_response("stuck_answers", course.course_key, _csv_lines(course.course_key))


def _repair(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    chosen = [read_number(text) for text in request.POST.getlist("row")[:MAX_ROWS]]
    done = stuck_answers.repair(chosen, course.course_key) if chosen else []
    rows = [
        (each, row[1])
        for each, row in zip(done, _with_names([e.answer for e in done]), strict=True)
    ]
    context = {
        "course": course,
        "repaired": rows,
        "is_repair": True,
        "not_repaired": Outcome.NOT_REPAIRED,
    }
    return render(request, "xqueue_bridge/stuck.html", context)


def _with_names(answers: Sequence[StuckAnswer]) -> list[tuple[StuckAnswer, Learner]]:
    ids = list(dict.fromkeys(each.target.user_id for each in answers))
    names = {each.user_id: each for each in learners_by_id(ids)}
    return [(each, names[each.target.user_id]) for each in answers]


def _csv_lines(course_key: CourseKey) -> Iterator[Sequence[str]]:
    yield CSV_HEADER
    after: int | None = 0
    for _scan in range(MAX_SCANS):
        if after is None or stuck_answers.can_find():
            return
        scan = stuck_answers.find(course_key, after=after)
        for answer, learner in _with_names(scan.answers):
            yield (
                str(answer.target.user_id),
                learner.username,
                str(answer.target.usage_key),
                answer.since.isoformat(),
                answer.kind,
                "" if answer.submission_id is None else str(answer.submission_id),
                answer.repair,
            )
        after = scan.next
