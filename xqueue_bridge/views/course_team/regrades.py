"""The course team's pages of regrades: the list, a new one with its preview, and one's progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_http_methods
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.db.batches import by_key
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.regrading.api import Regrade, RegradeItem
from xqueue_bridge.views.course_team.access import TeamCourse, course_staff_required
from xqueue_bridge.views.course_team.regrade_form import RegradeForm
from xqueue_bridge.views.decorators import current_user_id
from xqueue_bridge.views.formatting import format_points
from xqueue_bridge.views.learners import learners_by_id
from xqueue_bridge.views.tables import csv_response, query, read_number

#: Learners whose grade could fall that the preview names.
MAX_NAMES = 20
#: Regrades, and items of one, on a page; the CSV files have all.
PAGE_SIZE = 50
CHANGES = {"pause": regrading.pause, "resume": regrading.resume, "cancel": regrading.cancel}
REGRADES_HEADER = ("regrade", "started", "author_id", "what", "problem", "queue", "status")
CSV_HEADER = ("submission", "user_id", "problem", "status", "before", "after", "reason")


@course_staff_required
@require_GET
def regrades(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """List a course's regrades, newest first, with their progress: ``?after=``."""
    after = read_number(request.GET.get("after", ""))
    found = regrading.regrades_of(course.course_key, PAGE_SIZE + 1, before=after or None)
    shown = found[:PAGE_SIZE]
    progress = regrading.progress([each.pk for each in shown])
    context = {
        "course": course,
        "rows": [(each, progress[each.pk]) for each in shown],
        "first": request.path if after else "",
        "next": query({}, after=shown[-1].pk) if len(found) > PAGE_SIZE else "",
    }
    return render(request, "xqueue_bridge/regrades.html", context)


@course_staff_required
@require_GET
def regrades_csv(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Send a course's regrades, newest first, with their progress, as a CSV file."""
    return csv_response("regrades", course.course_key, _regrade_lines(course.course_key))


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
                started = regrading.start(selection, options, author_id=author_id)
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
    """Show the progress of a regrade; a POST pauses, resumes or cancels it."""
    found = _regrade_or_404(course, regrade_id)
    if request.method == "POST":
        change = CHANGES.get(request.POST.get("action", ""))
        if change is None:
            return HttpResponse(status=422)
        change(found.pk)
        return redirect(request.path)
    status = request.GET.get("status", "")
    after = read_number(request.GET.get("after", ""))
    items, following = _page_of(found, status, after)
    people = {item.user_id for item in items} | ({found.author_id} if found.author_id else set())
    names = {each.user_id: each for each in learners_by_id(sorted(people))}
    context = {
        "course": course,
        "regrade": found,
        "progress": (progress := regrading.progress([found.pk])[found.pk]),
        "counts": [
            (label, progress.counts[value], query({}, status=value), value == status)
            for value, label in RegradeItem.Status.choices
            if value in progress.counts
        ],
        "is_part": bool(status or after),
        "next": query({"status": status}, after=following) if following else "",
        "partial": query({"status": status}, after=after or "", partial="progress"),
        "items": [(item, names[item.user_id]) for item in items],
        "author": names[found.author_id].name if found.author_id else "",
        "can_pause": found.status == Regrade.Status.RUNNING,
        "can_resume": found.status == Regrade.Status.PAUSED,
        "now": timezone.now(),
    }
    name = "_regrade" if request.GET.get("partial") == "progress" else "regrade"
    return render(request, f"xqueue_bridge/{name}.html", context)


@course_staff_required
@require_GET
def regrade_csv(request: HttpRequest, course: TeamCourse, regrade_id: str) -> HttpResponse:
    """Send the report of a regrade as a CSV file: a line for each submission."""
    found = _regrade_or_404(course, regrade_id)
    return csv_response(f"regrade_{found.pk}", course.course_key, _csv_lines(found))


def _regrade_or_404(course: TeamCourse, regrade_id: str) -> Regrade:
    found = Regrade.objects.filter(pk=int(regrade_id), course_key=course.course_key).first()
    if found is None:
        raise Http404(_("This course has no such regrade."))
    return found


def _page_of(found: Regrade, status: str, after: int) -> tuple[list[RegradeItem], int]:
    """Return a page of items in the order in which they are released, and the next one's cursor."""
    items = found.items.filter(pk__gt=after)
    if status:
        items = items.filter(status=status)
    page = list(items.order_by("pk")[: PAGE_SIZE + 1])
    return page[:PAGE_SIZE], page[PAGE_SIZE - 1].pk if len(page) > PAGE_SIZE else 0


def _regrade_lines(course_key: CourseKey) -> Iterator[Sequence[str]]:
    yield (*REGRADES_HEADER, "total", "done", *RegradeItem.Status.values)
    before = None
    while found := regrading.regrades_of(course_key, before=before):
        progress = regrading.progress([each.pk for each in found])
        for each in found:
            numbers = progress[each.pk]
            yield (
                str(each.pk),
                each.created_at.isoformat(),
                "" if each.author_id is None else str(each.author_id),
                each.scope,
                str(each.usage_key or ""),
                each.queue_name,
                each.status,
                str(numbers.total),
                str(numbers.done),
                *(str(numbers.counts.get(status, 0)) for status in RegradeItem.Status.values),
            )
        before = found[-1].pk


def _csv_lines(found: Regrade) -> Iterator[Sequence[str]]:
    yield CSV_HEADER
    for batch in by_key(found.items.all()):
        for item in batch:
            points = (item.points_before, item.points_after)
            yield (
                str(item.original_id),
                str(item.user_id),
                str(item.usage_key),
                item.status,
                *("" if each is None else format_points(each) for each in points),
                item.reason,
            )
