"""The operators' page of all priorities, and its CSV file."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from xqueue_bridge.protocol.fields import MAX_NAME
from xqueue_bridge.submission_queue.priority_models import Priority
from xqueue_bridge.views.decorators import is_operator, staff_required
from xqueue_bridge.views.form_fields import MAX_TEXT
from xqueue_bridge.views.tables import Column, table_context, table_csv

#: Rows that the table has at most.
MAX_ROWS = 10_000

COLUMNS = (
    Column("queue", _("Queue"), lambda row: row.queue_name),
    Column("course", _("Course"), lambda row: row.course_key),
    Column("level", _("Priority"), lambda row: row.level, is_descending=True),
)


class PriorityFilter(forms.Form):
    """The search form; every field may be empty."""

    queue = forms.CharField(
        label=_("Queue"), required=False, max_length=MAX_NAME, help_text=_("a part of its name")
    )
    course = forms.CharField(
        label=_("Course"), required=False, max_length=MAX_TEXT, help_text=_("a part of its key")
    )
    level = forms.TypedChoiceField(
        label=_("Priority"),
        required=False,
        choices=[("", _("all")), *Priority.Level.choices],
        coerce=int,
        empty_value=None,
    )

    def priorities(self) -> list[Priority]:
        """Return the priorities that the valid form selects; one statement."""
        queue, course = (self.cleaned_data[name].casefold() for name in ("queue", "course"))
        level, rows = self.cleaned_data["level"], Priority.objects.order_by("course_key")
        if level is not None:
            rows = rows.filter(level=level)
        return [
            each
            for each in rows[:MAX_ROWS]
            if queue in each.queue_name.casefold() and course in each.course_key.casefold()
        ]


@staff_required
@require_GET
def priorities(request: HttpRequest) -> HttpResponse:
    """Show the priorities of queues and courses: ``?queue=&course=&level=``; one statement."""
    form = PriorityFilter(request.GET)
    context = {"form": form, "can_operate": is_operator(request)}
    if not form.is_valid():
        return render(request, "xqueue_bridge/priorities.html", context, status=422)
    context |= table_context(request, form, form.priorities(), COLUMNS)
    return render(request, "xqueue_bridge/priorities.html", context)


@staff_required
@require_GET
def priorities_csv(request: HttpRequest) -> HttpResponse:
    """Send the selected priorities as a CSV file."""
    form = PriorityFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return table_csv("xqueue", "priorities", form.priorities(), COLUMNS)
