"""Admin of submissions, replies, transport overrides and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from xqueue_bridge import models
from xqueue_bridge.admin.base import ReadOnlyAdmin, RecordedAdmin, RetryAdmin
from xqueue_bridge.db.batches import id_batches
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.operations import api as operations
from xqueue_bridge.views.decorators import is_operator
from xqueue_bridge.views.reply_details import codes_for_staff, tests_for_staff


@admin.register(models.TransportOverride)
class TransportOverrideAdmin(RecordedAdmin):
    list_display = ("scope", "name", "use_submissions_table", "modified")
    list_filter = ("scope", "use_submissions_table")
    search_fields = ("name",)

    def get_readonly_fields(
        self, request: HttpRequest, obj: models.TransportOverride | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("scope", "name")

    def record(
        self, request: HttpRequest, row: models.TransportOverride, *, is_deleted: bool = False
    ) -> None:
        choice = None if is_deleted else row.use_submissions_table
        operations.record_transport(row.scope, row.name, choice, request.user.pk)


@admin.register(models.Submission)
class SubmissionAdmin(RetryAdmin):
    list_display = ("id", "queue_name", "status", "user_id", "deliveries", "created_at")
    list_filter = ("status", "transport", "queue_name")
    search_fields = ("=user_id", "=usage_key")
    fields = (
        *list_display,
        "leased_at",
        "finished_at",
        "available_at",
        "due_at",
        "grader",
        "course_key",
        "usage_key",
        "dispatch",
        "transport",
    )
    actions = ("retry", "move", "end")
    retry_description = gettext_lazy("Requeue selected submissions")
    retried = ngettext_lazy(
        "%(count)d submission requeued.", "%(count)d submissions requeued.", "count"
    )
    retry_condition = gettext_lazy(
        "Only failed submissions can be requeued, unless the learner has answered again, or the "
        "failure cannot be undone with this REPLY_BACKEND. The log has the reasons."
    )

    def retry_and_record(self, rows: QuerySet[Model], author_id: int | None) -> tuple[int, int]:
        """Requeue the rows: an action of operators for each MAX_IDS of them."""
        selected = changed = 0
        for ids in id_batches(rows, size=operations.MAX_IDS):
            order = operations.Order("requeue", submission_ids=tuple(ids), author_id=author_id)
            selected += len(ids)
            changed += operations.carry_out(order).changed
        return selected, changed

    @admin.action(
        description=gettext_lazy("Move selected submissions to another queue…"),
        permissions=["operate"],
    )
    def move(self, request: HttpRequest, rows: QuerySet[models.Submission]) -> HttpResponse | None:
        return self._confirm(request, "move", rows)

    @admin.action(
        description=gettext_lazy("End the grading of selected submissions…"),
        permissions=["operate"],
    )
    def end(self, request: HttpRequest, rows: QuerySet[models.Submission]) -> HttpResponse | None:
        return self._confirm(request, "end", rows)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return is_operator(request)

    def _confirm(
        self, request: HttpRequest, action: str, rows: QuerySet[models.Submission]
    ) -> HttpResponse | None:
        """Lead to the page that confirms the action."""
        ids = [str(pk) for pk in rows.values_list("pk", flat=True)[: operations.MAX_IDS + 1]]
        if len(ids) > operations.MAX_IDS:
            text = _("Select %(number)d submissions at most, or act on the queue on its page.")
            self.message_user(request, text % {"number": operations.MAX_IDS}, messages.ERROR)
            return None
        query = urlencode({"action": action, "submissions": ",".join(ids)}, safe=",")
        return redirect(f"{reverse('xqueue_bridge:queue_action')}?{query}")


@admin.register(models.ReceivedReply)
class ReceivedReplyAdmin(RetryAdmin):
    list_display = ("id", "submission_number", "status", "attempts", "last_error", "received_at")
    list_filter = ("status", "source")
    fields = (
        "id",
        "submission",
        *list_display[2:],
        "source",
        "score_given",
        "score_applied",
        "applied_at",
        "next_attempt_at",
        "warnings",
        "all_tests",
        "staff_note",
    )
    readonly_fields = ("warnings", "all_tests")
    recorded_kind = models.OperatorAction.Kind.RETRY
    retry_description = gettext_lazy("Retry selected replies")
    retried = ngettext_lazy(
        "%(count)d reply will be applied again.",
        "%(count)d replies will be applied again.",
        "count",
    )
    retry_condition = gettext_lazy("Only dead replies can be retried.")

    @admin.display(description=gettext_lazy("submission"), ordering="submission_id")
    def submission_number(self, reply: models.ReceivedReply) -> int:
        return reply.submission_id

    @admin.display(description=gettext_lazy("warnings"))
    def warnings(self, reply: models.ReceivedReply) -> str:
        return codes_for_staff(reply.codes) or "-"

    @admin.display(description=gettext_lazy("tests"))
    def all_tests(self, reply: models.ReceivedReply) -> str:
        return tests_for_staff(reply.tests) or "-"

    def retry_rows(self, ids: Sequence[int]) -> int:
        return grader_replies.retry_dead(ids)


@admin.register(models.Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("kind", "queue_name", "is_open", "changed_at", "notified_at", "last_error")
    list_filter = ("is_open", "kind", "queue_name")
    fields = (*list_display, "detail", "is_told", "attempts", "next_attempt_at")


@admin.register(models.OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    """Admin of the record of what operators did."""

    list_display = ("kind", "queue_name", "author_id", "created_at", "changed", "finished_at")
    list_filter = ("kind", "queue_name")
    search_fields = ("=author_id",)
    fields = (*list_display, "selected", "parameters")
