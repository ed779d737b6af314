"""The operators' page of the work in the background, and its CSV file."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from xqueue_bridge.db.work_item import WorkItem
from xqueue_bridge.metrics.work import kinds_of_work, work_counts, work_items
from xqueue_bridge.protocol.fields import MAX_NAME
from xqueue_bridge.views.decorators import is_operator, staff_required
from xqueue_bridge.views.tables import Column, table_context, table_csv
from xqueue_bridge.worker.models import Heartbeat

REPLIES = "receivedreply"
STATES = {"failed": _("failed"), "waiting": _("waiting"), "overdue": _("overdue")}


class WorkFilter(forms.Form):
    """The search form: which kind of work, and in which state."""

    kind = forms.ChoiceField(label=_("Work"), required=False)
    state = forms.ChoiceField(label=_("Status"), required=False, choices=STATES.items())
    queue = forms.CharField(
        label=_("Queue"), required=False, max_length=MAX_NAME, help_text=_("of replies and alerts")
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        names = {kind: model._meta.verbose_name_plural for kind, model in kinds_of_work().items()}
        names = {REPLIES: names.pop(REPLIES), **names}
        self.fields["kind"].choices = names.items()  # type: ignore[attr-defined]

    @property
    def chosen_kind(self) -> str:
        """The kind of the valid form; replies by default."""
        return self.cleaned_data["kind"] or REPLIES

    def items(self) -> QuerySet[WorkItem]:
        """Return the work items that the valid form selects."""
        state = self.cleaned_data["state"] or "failed"
        rows = work_items(self.chosen_kind, state, self.cleaned_data["queue"])
        if self.chosen_kind != REPLIES:
            return rows
        # Not what the grader sent: it is long, and operators do not need it.
        return rows.select_related("submission").defer("body", "message", "tests", "staff_note")

    def columns(self) -> tuple[Column, ...]:
        """Return the columns of the kind; those with queues have one more."""
        lookup = kinds_of_work()[self.chosen_kind].queue_lookup
        queue = attrgetter(lookup.replace("__", ".")) if lookup else None
        return (
            Column("id", _("No."), lambda row: row.pk, "pk", is_descending=True),
            Column("what", _("What"), str),
            *([Column("queue", _("Queue"), queue, lookup)] if queue else []),
            Column("attempts", _("Attempts"), lambda row: row.attempts, "attempts"),
            Column("next_attempt_at", _("Next attempt"), lambda row: row.next_attempt_at),
            Column("last_error", _("Last error"), lambda row: row.last_error),
        )


@staff_required
@require_GET
def work(request: HttpRequest) -> HttpResponse:
    """Show counts of all work, and the rows of one kind: ``?kind=&state=&queue=``.

    By default the replies that have failed. Two statements, four for each kind, and the user's.
    """
    form = WorkFilter(request.GET)
    context: dict[str, Any] = {
        "counts": work_counts(),
        "processes": Heartbeat.objects.order_by("name"),
        "now": timezone.now(),
    }
    if not form.is_valid():
        return render(request, "xqueue_bridge/work.html", {**context, "form": form}, status=422)
    columns = form.columns()
    found = table_context(request, form, form.items(), columns)
    kind, queue = form.chosen_kind, form.cleaned_data["queue"]
    can_retry = is_operator(request) and kind == REPLIES
    context |= {
        **found,
        "rows": [(row, [each.value(row) for each in columns[2:]]) for row in found["rows"]],
        "is_replies": kind == REPLIES,
        "can_retry": can_retry and form.cleaned_data["state"] in ("", "failed"),
        "queue": queue,
    }
    return render(request, "xqueue_bridge/work.html", context)


@staff_required
@require_GET
def work_csv(request: HttpRequest) -> HttpResponse:
    """Send the selected work items, oldest first, as a CSV file."""
    form = WorkFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return table_csv("work", form.chosen_kind, form.items(), form.columns())
