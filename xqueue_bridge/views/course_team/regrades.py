"""The course team's pages of regrades: the list, a new one with its preview, and one's progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_http_methods

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.operations import api as operations
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.regrading.api import Regrade, RegradeItem
from xqueue_bridge.views.course_team.access import TeamCourse, course_staff_required
from xqueue_bridge.views.course_team.filters import RegradeFilter, RegradeItemFilter
from xqueue_bridge.views.course_team.regrade_columns import (
    COLUMNS,
    CSV_COLUMNS,
    ITEM_COLUMNS,
    ITEM_CSV_COLUMNS,
    RegradeRow,
)
from xqueue_bridge.views.course_team.regrade_form import RegradeForm
from xqueue_bridge.views.decorators import current_user_id
from xqueue_bridge.views.learners import Learner, learners_by_id
from xqueue_bridge.views.tables import query, table_context, table_csv

#: Learners whose grade could fall that the preview names.
MAX_NAMES = 20


@course_staff_required
@require_GET
def regrades(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """List a course's regrades, newest first, with their progress: ``?who=&status=&since=&until=``.

    Five statements at most, and those of COURSE_STAFF_CHECK.
    """
    form = RegradeFilter(request.GET)
    context: dict[str, Any] = {"course": course, "form": form}
    if not form.is_valid():
        return render(request, "xqueue_bridge/regrades.html", context, status=422)
    found = form.regrades(course.course_key)
    context |= table_context(request, form, found, COLUMNS, rows_of)
    return render(request, "xqueue_bridge/regrades.html", context)


@course_staff_required
@require_GET
def regrades_csv(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Send the selected regrades with their progress as a CSV file."""
    form, key = RegradeFilter(request.GET), course.course_key
    if not form.is_valid():
        return HttpResponse(status=422)
    return table_csv("regrades", key, form.regrades(key), CSV_COLUMNS, rows_of)


@course_staff_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def new_regrade(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Show the form; a POST shows the preview, or starts the regrade if ``action`` is "start"."""
    data = request.POST if request.method == "POST" else None
    form = RegradeForm(data, initial=request.GET.dict())
    context = {"course": course, "form": form, "problem": regrading.can_regrade()}
    if not form.is_bound:
        return render(request, "xqueue_bridge/regrade_new.html", context)
    if form.is_valid():
        selection, options = form.selection(course.course_key), form.options()
        try:
            if request.POST.get("action") == "start":
                author_id = current_user_id(request)
                started = operations.start_regrade(selection, options, author_id=author_id)
                regrading.release_due()
                return redirect("xqueue_bridge:regrade", course.course_key, started.pk)
            preview = regrading.preview(selection, options)
        except InvalidField as exc:
            form.add_error(exc.field if exc.field in form.fields else None, str(exc.reason))
        else:
            names = learners_by_id(preview.could_fall[:MAX_NAMES])
            context |= {"preview": preview, "could_fall": names}
            return render(request, "xqueue_bridge/regrade_new.html", context)
    return render(request, "xqueue_bridge/regrade_new.html", context, status=422)


@course_staff_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def regrade(request: HttpRequest, course: TeamCourse, regrade_id: str) -> HttpResponse:
    """Show the progress of a regrade, and its submissions: ``?learner=&status=``.

    A POST pauses, resumes or cancels it. ``?partial=table`` returns what the page reloads.
    """
    found = _regrade_or_404(course, regrade_id)
    if request.method == "POST":
        change = request.POST.get("action", "")
        if change not in operations.REGRADE_CHANGES:
            return HttpResponse(status=422)
        operations.change_regrade(found, change, author_id=current_user_id(request))
        return redirect(request.path)
    form = RegradeItemFilter(request.GET)
    progress = regrading.progress([found.pk])[found.pk]
    context: dict[str, Any] = {
        "course": course,
        "form": form,
        "regrade": found,
        "progress": progress,
        "counts": [
            (label, progress.counts[value], query({}, status=value), value)
            for value, label in RegradeItem.Status.choices
            if value in progress.counts
        ],
        "author": _name_of(found.author_id),
        "can_pause": found.status == Regrade.Status.RUNNING,
        "can_resume": found.status == Regrade.Status.PAUSED,
        "now": timezone.now(),
    }
    if not form.is_valid():
        return render(request, "xqueue_bridge/regrade.html", context, status=422)
    context |= table_context(request, form, form.items(found), ITEM_COLUMNS, with_learners)
    context["status"] = form.cleaned_data["status"]
    name = "_regrade" if request.GET.get("partial") == "table" else "regrade"
    return render(request, f"xqueue_bridge/{name}.html", context)


@course_staff_required
@require_GET
def regrade_csv(request: HttpRequest, course: TeamCourse, regrade_id: str) -> HttpResponse:
    """Send the report of a regrade as a CSV file: a line for each selected submission."""
    found, form = _regrade_or_404(course, regrade_id), RegradeItemFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    name, items = f"regrade_{found.pk}", form.items(found)
    return table_csv(name, course.course_key, items, ITEM_CSV_COLUMNS)


def rows_of(found: Sequence[Regrade]) -> list[RegradeRow]:
    """Return the rows of regrades, with progress and author; two statements."""
    progress = regrading.progress([each.pk for each in found])
    ids = sorted({each.author_id for each in found if each.author_id})
    names = {each.user_id: each.name for each in learners_by_id(ids)}
    return [
        RegradeRow(each, progress[each.pk], names.get(each.author_id or 0, "")) for each in found
    ]


def with_learners(found: Sequence[RegradeItem]) -> list[tuple[RegradeItem, Learner]]:
    """Return the items of a regrade, each with its learner; one statement."""
    ids = sorted({each.user_id for each in found})
    names = {each.user_id: each for each in learners_by_id(ids)}
    return [(each, names[each.user_id]) for each in found]


def _name_of(user_id: int | None) -> str:
    return learners_by_id([user_id])[0].name if user_id else ""


def _regrade_or_404(course: TeamCourse, regrade_id: str) -> Regrade:
    found = Regrade.objects.filter(pk=int(regrade_id), course_key=course.course_key).first()
    if found is None:
        raise Http404(_("This course has no such regrade."))
    return found
