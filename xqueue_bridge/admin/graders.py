"""Admin of grader accounts and paused graders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from xqueue_bridge import models
from xqueue_bridge.admin.base import RecordedAdmin, RetryAdmin
from xqueue_bridge.operations import api as operations
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.views.reply_details import code_text


class QueueGrantInline(admin.TabularInline):
    model = models.QueueGrant
    extra = 1


class ReplyCodeCountInline(admin.TabularInline):
    """How many of the grader's replies were refused or changed, and why."""

    model = models.ReplyCodeCount
    fields = readonly_fields = ("code", "meaning", "count", "last_at")
    ordering = ("-count",)
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("meaning"))
    def meaning(self, row: models.ReplyCodeCount) -> str:
        return code_text(row.code)


@admin.register(models.Grader)
class GraderAdmin(RecordedAdmin):
    """Admin of graders and their queues. A new secret is shown once."""

    list_display = ("name", "is_active", "queues", "last_seen_at", "last_failed_login_at")
    list_filter = ("is_active",)
    search_fields = ("name",)
    inlines = (QueueGrantInline, ReplyCodeCountInline)
    actions = ("rotate_secret",)

    @admin.display(description=gettext_lazy("queues"))
    def queues(self, grader: models.Grader) -> str:
        return ", ".join(grant.queue_name for grant in grader.grants.all())

    def record(self, request: HttpRequest, row: models.Grader, *, is_deleted: bool = False) -> None:
        if is_deleted:  # else ``save_related`` records it, which knows the grants
            operations.record_deletion(row.name, request.user.pk)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        grader, author_id = form.instance, request.user.pk
        before = operations.queues_of(grader)
        super().save_related(request, form, formsets, change)
        if not change:
            operations.record_creation(grader, author_id)
            return
        if form.changed_data:
            fields = {name: form.cleaned_data[name] for name in form.changed_data}
            operations.record_account(form.initial["name"], fields, author_id)
        operations.record_grants(grader, before, author_id)

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.Grader]:
        return super().get_queryset(request).prefetch_related("grants")

    @admin.action(
        description=gettext_lazy("Rotate secret (old one valid for 24 h)"), permissions=["change"]
    )
    def rotate_secret(self, request: HttpRequest, graders: QuerySet[models.Grader]) -> None:
        overlap = submission_queue.ROTATION_OVERLAP
        for grader in graders:
            secret = operations.rotate_secret(grader, overlap=overlap, author_id=request.user.pk)
            text = _("New secret of %(grader)s, shown only now: %(secret)s")
            values = {"grader": grader.name, "secret": secret}
            self.message_user(request, text % values, messages.WARNING)


@admin.register(models.GraderPause)
class GraderPauseAdmin(RetryAdmin):
    list_display = ("grader", "queue_name", "invalid_replies", "paused_until", "last_error")
    list_filter = ("queue_name",)
    fields = (*list_display, "since", "last_submission_id")
    retry_description = gettext_lazy("Resume selected graders")
    retried = ngettext_lazy("%(count)d grader resumed.", "%(count)d graders resumed.", "count")
    retry_condition = gettext_lazy("The pause has ended already.")

    def retry_rows(self, ids: Sequence[int]) -> int:
        return submission_queue.resume(ids)
