"""The operators' page that sets the priority of a queue, or of a course in it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from xqueue_bridge.conf import options
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.operations import api as operations
from xqueue_bridge.protocol.fields import MAX_NAME, is_valid_text
from xqueue_bridge.submission_queue.priority_models import Priority
from xqueue_bridge.views.decorators import current_user_id, operator_required
from xqueue_bridge.views.form_fields import CourseKeyField
from xqueue_bridge.views.queue_actions import page_of

#: The choice that removes a priority.
NONE = "none"
#: Priorities that the page lists.
SHOWN = 100


class PriorityForm(forms.Form):
    """Which priority an operator sets; an empty queue or course means every one."""

    queue = forms.CharField(required=False, max_length=MAX_NAME)
    course = CourseKeyField(
        label=_("Course"),
        required=False,
        max_length=255,
        help_text=_("Empty: every course without a priority of its own."),
    )
    level = forms.ChoiceField(
        label=_("Priority"),
        choices=[*Priority.Level.choices, (NONE, _("none of its own"))],
        initial=Priority.Level.NORMAL,
    )

    def clean(self) -> dict[str, Any]:
        if not (self.cleaned_data.get("queue") or self.cleaned_data.get("course")):
            self.add_error("course", _("Name a course."))
        return self.cleaned_data

    @property
    def chosen(self) -> int | None:
        """The valid form's level; None removes the priority."""
        level = self.cleaned_data["level"]
        return None if level == NONE else int(level)


@operator_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def queue_priority(request: HttpRequest) -> HttpResponse:
    """Ask for a priority, then for a confirmation; a POST sets it: ``?queue=&course=&level=``."""
    given = request.POST if request.method == "POST" else request.GET
    if "level" not in given:
        return _page(request, PriorityForm(initial={"queue": given.get("queue", "")}))
    form = PriorityForm(given)
    if not form.is_valid():
        return _page(request, form, status=422)
    if request.method != "POST":
        level = form.chosen
        steps = options().PRIORITY_SECONDS * abs(level or 0)
        return _page(request, form, is_confirmation=True, level=level, minutes=round(steps / 60))
    queue_name, course_key = form.cleaned_data["queue"], form.cleaned_data["course"]
    try:
        author_id = current_user_id(request)
        operations.set_priority(queue_name, course_key, form.chosen, author_id=author_id)
    except InvalidField as exc:
        form.add_error("queue", str(exc.reason))
        return _page(request, form, status=422)
    return redirect(page_of(queue_name))


def _page(request: HttpRequest, form: PriorityForm, status: int = 200, **more: Any) -> HttpResponse:
    queue = form["queue"].value() or ""
    names = (queue, "") if is_valid_text(queue) else ("",)
    rows = Priority.objects.filter(queue_name__in=names).order_by("-queue_name", "course_key")
    context = {
        "form": form,
        "queue": queue,
        "course": form["course"].value() or "",
        "back": page_of(queue),
        "priorities": rows[:SHOWN],
        **more,
    }
    return render(request, "xqueue_bridge/queue_priority.html", context, status=status)
