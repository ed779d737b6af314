"""The operators' page of graders and of the work in the background; a grader is revoked on it."""

from __future__ import annotations

from datetime import timedelta

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_http_methods

from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.queries import count_dead
from xqueue_bridge.metrics.work import work_counts
from xqueue_bridge.operations import api as operations
from xqueue_bridge.submission_queue.grader_models import Grader, GraderPause, GraderSecret
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.views.decorators import (
    current_user_id,
    is_operator,
    operator_required,
    staff_required,
)
from xqueue_bridge.worker.models import Heartbeat

#: Graders that the page shows; the admin has all.
SHOWN = 200
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


@staff_required
@require_GET
def graders(request: HttpRequest) -> HttpResponse:
    """Show graders, with what was wrong in their replies, processes, and work that waits."""
    context = {
        "graders": _graders()[:SHOWN],
        "work": work_counts(),
        "dead": count_dead(),
        "dead_label": ReceivedReply.Status.DEAD.label,
        "processes": Heartbeat.objects.order_by("name"),
        "can_operate": is_operator(request),
        "now": timezone.now(),
    }
    return render(request, "xqueue_bridge/graders.html", context)


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
            status=Status.LEASED, available_at__gt=timezone.now()
        ).count(),
    }
    status = 422 if form.is_bound else 200
    return render(request, "xqueue_bridge/grader_revoke.html", context, status=status)


def _graders() -> QuerySet[Grader]:
    """Return graders with their queues, pauses and counts of codes; three statements."""
    now = timezone.now()
    secrets = GraderSecret.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now), grader=OuterRef("pk")
    )
    pauses = GraderPause.objects.filter(grader=OuterRef("pk"), paused_until__gt=now)
    rows = Grader.objects.annotate(
        can_log_in=Exists(secrets), is_paused=Exists(pauses), codes=Sum("code_counts__count")
    )
    return rows.prefetch_related("grants").order_by("name")
