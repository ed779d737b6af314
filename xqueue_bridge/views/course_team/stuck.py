"""The course team's page of stuck answers: find them, repair them, and their CSV file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_http_methods
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.operations import api as operations
from xqueue_bridge.stuck_answers import api as stuck_answers
from xqueue_bridge.stuck_answers.api import Outcome, StuckAnswer
from xqueue_bridge.views.course_team.access import TeamCourse, course_staff_required
from xqueue_bridge.views.course_team.filters import StuckFilter
from xqueue_bridge.views.decorators import current_user_id
from xqueue_bridge.views.learners import Learner, learners_by_id
from xqueue_bridge.views.tables import Column, query, read_number, table_context, table_csv

#: Rows of a POST, and scans of the CSV file.
MAX_ROWS, MAX_SCANS = 200, 100

#: Of a stuck answer and its learner.
Row = tuple[StuckAnswer, Learner]
PROBLEM = Column("problem", _("Problem"), lambda row: str(row[0].target.usage_key))
SINCE = Column("unchanged_since", _("Unchanged since"), lambda row: row[0].since)
COLUMNS = (
    Column("learner", _("Learner"), lambda row: row[1].name),
    PROBLEM,
    SINCE,
    Column("kind", _("Why it is stuck"), lambda row: str(row[0].kind.label)),
    Column("repair", _("What a repair does"), lambda row: row[0].plan),
)
CSV_COLUMNS = (
    Column("user_id", "", lambda row: row[0].target.user_id),
    Column("username", "", lambda row: row[1].username),
    PROBLEM,
    SINCE,
    Column("kind", "", lambda row: row[0].kind),
    Column("submission", "", lambda row: row[0].submission_id),
    Column("repair", "", lambda row: row[0].repair),
)


@course_staff_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def stuck(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Search a part of the course's states for stuck answers; a POST repairs the chosen ones.

    ``?begin=`` goes on where the previous search ended; ``?learner=&problem=&kind=`` select.
    """
    context: dict[str, Any] = {
        "course": course,
        "problem": stuck_answers.can_find(),
        "hours": stuck_answers.OLDER_THAN // timedelta(hours=1),
    }
    if context["problem"]:
        return render(request, "xqueue_bridge/stuck.html", context)
    if request.method == "POST":
        return _repair(request, course)
    form = StuckFilter(request.GET)
    if not form.is_valid():
        context["form"] = form
        return render(request, "xqueue_bridge/stuck.html", context, status=422)
    scan = stuck_answers.find(course.course_key, after=read_number(form.cleaned_data["begin"]))
    rows = [row for row in _with_names(scan.answers) if form.selects(*row)]
    context |= table_context(request, form, rows, COLUMNS)
    given = {name: request.GET.get(name, "") for name in form.fields}
    context |= {
        "scan": scan,
        "search_again": query(given, begin="") if given["begin"] else "",
        "search_on": query(given, begin=scan.next) if scan.next is not None else "",
    }
    return render(request, "xqueue_bridge/stuck.html", context)


@course_staff_required
@require_GET
def stuck_csv(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Send the selected stuck answers as a CSV file, of MAX_SCANS searches at most."""
    form = StuckFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    rows = (row for row in _search(course.course_key) if form.selects(*row))
    return table_csv("stuck_answers", course.course_key, rows, CSV_COLUMNS)


def _repair(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    chosen = [read_number(text) for text in request.POST.getlist("row")[:MAX_ROWS]]
    done = []
    if chosen:
        author_id = current_user_id(request)
        action = operations.begin_repair(course.course_key, author_id=author_id)
        done = operations.repair(action, chosen, course.course_key)
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


def _with_names(answers: Sequence[StuckAnswer]) -> list[Row]:
    ids = list(dict.fromkeys(each.target.user_id for each in answers))
    names = {each.user_id: each for each in learners_by_id(ids)}
    return [(each, names[each.target.user_id]) for each in answers]


def _search(course_key: CourseKey) -> Iterator[Row]:
    """Yield the stuck answers of a course, of MAX_SCANS scans at most."""
    after: int | None = 0
    for _scan in range(MAX_SCANS):
        if after is None or stuck_answers.can_find():
            return
        scan = stuck_answers.find(course_key, after=after)
        yield from _with_names(scan.answers)
        after = scan.next
