"""The operators' page that confirms an action on a queue, or on some submissions."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.operations import api as operations
from xqueue_bridge.operations.api import OperatorAction, Order
from xqueue_bridge.views.decorators import current_user_id, operator_required

Kind = OperatorAction.Kind
#: The actions that the page confirms, with what each does.
TEXTS = {
    Kind.PAUSE: _("Graders find the queue empty until it is resumed. Learners are told."),
    Kind.RESUME: _("Graders pull from the queue again."),
    Kind.MOVE: _("Graders of the other queue get the submissions, in the order of their age."),
    Kind.END: _("The learners are told that staff have ended the grading, and may submit again."),
    Kind.REQUEUE: _("The problems wait again, and graders get the submissions."),
    Kind.RETRY: _("The replies are applied again."),
}
SWITCHES = (Kind.PAUSE, Kind.RESUME)


class ActionForm(forms.Form):
    """What an operator wants done with a queue, or with some submissions."""

    action = forms.ChoiceField(choices=[(kind, kind.label) for kind in TEXTS])
    queue = forms.CharField(required=False, max_length=128)
    submissions = forms.RegexField(r"^[0-9]{1,18}(,[0-9]{1,18})*$", required=False, max_length=9500)
    to = forms.CharField(label=_("Other queue"), required=False, max_length=128)
    last_id = forms.IntegerField(required=False, min_value=0)

    def order(self, author_id: int) -> Order:
        """Return what the valid form asks for."""
        values = self.cleaned_data
        ids = values["submissions"]
        return Order(
            values["action"],
            values["queue"],
            tuple(map(int, ids.split(","))) if ids else None,
            values["to"],
            author_id,
        )


@operator_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def queue_action(request: HttpRequest) -> HttpResponse:
    """Show what an action concerns; a POST does it, and leads to the queue's page."""
    form = ActionForm(request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        return _page(request, form, status=422)
    order = form.order(current_user_id(request))
    try:
        if request.method == "POST":
            operations.begin(order, last_id=form.cleaned_data["last_id"])
            return redirect(page_of(order.queue_name))
        if order.kind in SWITCHES or (order.kind == Kind.MOVE and not order.to):
            return _page(request, form)
        return _page(request, form, preview=operations.preview(order))
    except InvalidField as exc:
        form.add_error(exc.field if exc.field in form.fields else None, str(exc.reason))
        return _page(request, form, status=422)


def page_of(queue_name: str) -> str:
    """Return the path of a queue's page, or of all queues for ""."""
    if not queue_name:
        return reverse("xqueue_bridge:queues")
    query = urlencode({"queue": queue_name})
    return f"{reverse('xqueue_bridge:queue_history')}?{query}"


def _page(request: HttpRequest, form: ActionForm, status: int = 200, **more: Any) -> HttpResponse:
    kind = form.data.get("action", "")
    known = kind in TEXTS
    queue = form.data.get("queue", "")
    context = {
        "form": form,
        "kind": kind if known else "",
        "title": Kind(kind).label if known else _("Unknown action"),
        "text": TEXTS[Kind(kind)] if known else "",
        "queue": queue,
        "back": page_of(queue),
        "is_switch": kind in SWITCHES,
        **more,
    }
    return render(request, "xqueue_bridge/queue_action.html", context, status=status)
