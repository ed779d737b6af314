"""The operators' pages of graders and of what was wrong in their replies; one is revoked here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_http_methods

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.grader_replies.models import ReplyCodeCount
from xqueue_bridge.operations import api as operations
from xqueue_bridge.protocol.fields import MAX_NAME
from xqueue_bridge.submission_queue.grader_models import (
    Grader,
    GraderPause,
    GraderSecret,
    QueueGrant,
)
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.views.decorators import (
    current_user_id,
    is_operator,
    operator_required,
    staff_required,
)
from xqueue_bridge.views.reply_details import code_text
from xqueue_bridge.views.tables import Column, table_context, table_csv

#: Rows that the tables have at most.
MAX_ROWS = 10_000
#: The longest notice: a week.
MAX_NOTICE_MINUTES = 7 * 24 * 60


class RevokeForm(forms.Form):
    """How a grader's access is revoked."""

    notice_minutes = forms.IntegerField(
        label=_("Notice in minutes"),
        min_value=0,
        max_value=MAX_NOTICE_MINUTES,
        initial=0,
        help_text=_("For so long it may return the results of what it holds."),
    )


class GraderFilter(forms.Form):
    """The search form of both tables; every field may be empty."""

    grader = forms.CharField(
        label=_("Grader"), required=False, max_length=MAX_NAME, help_text=_("a part of its name")
    )
    queue = forms.CharField(label=_("Queue"), required=False, max_length=MAX_NAME)

    def graders(self) -> list[Grader]:
        """Return the graders that the valid form selects, by name; three statements."""
        rows, queue = _graders(), self.cleaned_data["queue"]
        if queue:
            rows = rows.filter(grants__queue_name__in=(queue, QueueGrant.EVERY_QUEUE)).distinct()
        part = self.cleaned_data["grader"].casefold()
        return [each for each in rows[:MAX_ROWS] if part in each.name.casefold()]


class ReplyCodeFilter(forms.Form):
    """The search form of the codes; every field may be empty."""

    grader = forms.CharField(
        label=_("Grader"), required=False, max_length=MAX_NAME, help_text=_("a part of its name")
    )
    code = forms.CharField(
        label=_("Code"), required=False, max_length=40, help_text=_("a part of it")
    )

    def codes(self) -> list[ReplyCodeCount]:
        """Return the counts that the valid form selects; one statement."""
        grader, code = (self.cleaned_data[name].casefold() for name in ("grader", "code"))
        rows = ReplyCodeCount.objects.select_related("grader").order_by("grader__name", "-count")
        return [
            each
            for each in rows[:MAX_ROWS]
            if grader in each.grader.name.casefold() and code in each.code
        ]


def access_of(grader: Any) -> str:
    """Return what a grader that ``_graders`` has returned may do."""
    if not (grader.is_active and grader.can_log_in):
        return gettext("cannot log in")
    if not grader.may_pull:
        return gettext("pulls no more")
    return gettext("paused: invalid replies") if grader.is_paused else gettext("pulls")


def _queues_of(grader: Grader) -> str:
    return ", ".join(sorted(grant.queue_name for grant in grader.grants.all()))


GRADER_COLUMNS = (
    Column("grader", _("Grader"), lambda row: row.name),
    Column("queues", _("Queues"), _queues_of),
    Column("last_seen", _("Last seen"), lambda row: row.last_seen_at, is_descending=True),
    Column(
        "replies",
        _("Refused or changed replies"),
        lambda row: row.codes or 0,
        is_descending=True,
    ),
    Column("access", _("Access"), access_of),
)
CODE_COLUMNS = (
    Column("grader", _("Grader"), lambda row: row.grader.name),
    Column("code", _("Code"), lambda row: row.code),
    Column("meaning", _("Meaning"), lambda row: code_text(row.code)),
    Column("count", _("Replies"), lambda row: row.count, is_descending=True),
    Column("last_at", _("Last time"), lambda row: row.last_at, is_descending=True),
)


@staff_required
@require_GET
def graders(request: HttpRequest) -> HttpResponse:
    """Show the graders, and whether each may pull: ``?grader=&queue=``; three statements."""
    form = GraderFilter(request.GET)
    if not form.is_valid():
        return render(request, "xqueue_bridge/graders.html", {"form": form}, status=422)
    context = table_context(request, form, form.graders(), GRADER_COLUMNS)
    context["rows"] = [(each, _queues_of(each), access_of(each)) for each in context["rows"]]
    context["can_operate"] = is_operator(request)
    return render(request, "xqueue_bridge/graders.html", context)


@staff_required
@require_GET
def graders_csv(request: HttpRequest) -> HttpResponse:
    """Send the selected graders as a CSV file."""
    form = GraderFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return table_csv("xqueue", "graders", form.graders(), GRADER_COLUMNS)


@staff_required
@require_GET
def reply_codes(request: HttpRequest) -> HttpResponse:
    """Show why replies of each grader were refused or changed: ``?grader=&code=``."""
    form = ReplyCodeFilter(request.GET)
    if not form.is_valid():
        return render(request, "xqueue_bridge/reply_codes.html", {"form": form}, status=422)
    context = table_context(request, form, form.codes(), CODE_COLUMNS)
    context["rows"] = [(each, code_text(each.code)) for each in context["rows"]]
    return render(request, "xqueue_bridge/reply_codes.html", context)


@staff_required
@require_GET
def reply_codes_csv(request: HttpRequest) -> HttpResponse:
    """Send the selected counts as a CSV file."""
    form = ReplyCodeFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return table_csv("reply", "codes", form.codes(), CODE_COLUMNS)


@operator_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def revoke_grader(request: HttpRequest, grader_id: str) -> HttpResponse:
    """Ask whether a grader's access shall be revoked; a POST revokes it."""
    grader = Grader.objects.filter(pk=int(grader_id)).first()
    if grader is None:
        raise Http404
    form = RevokeForm(request.POST) if request.method == "POST" else RevokeForm()
    if form.is_valid():
        notice = timedelta(minutes=form.cleaned_data["notice_minutes"])
        operations.revoke_grader(grader, notice=notice, author_id=current_user_id(request))
        return redirect("xqueue_bridge:graders")
    context = {
        "grader": grader,
        "form": form,
        "held": grader.submissions.filter(
            status=Status.LEASED, available_at__gt=database_now()
        ).count(),
    }
    status = 422 if form.is_bound else 200
    return render(request, "xqueue_bridge/grader_revoke.html", context, status=status)


def _graders() -> QuerySet[Grader]:
    """Return graders with their queues, pauses and counts of codes; three statements."""
    now = database_now()
    secrets = GraderSecret.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now), grader=OuterRef("pk")
    )
    pauses = GraderPause.objects.filter(grader=OuterRef("pk"), paused_until__gt=now)
    rows = Grader.objects.annotate(
        can_log_in=Exists(secrets), is_paused=Exists(pauses), codes=Sum("code_counts__count")
    )
    return rows.prefetch_related("grants").order_by("name")
