"""Admin of the bridge's models. Keys and learners' work are never shown.

A list shows the columns that fit a window of 1280 pixels; the change page shows the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from xqueue_bridge import models
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import api as credentials
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.model_admin import ReadOnlyAdmin, RetryAdmin
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.views.reply_details import code_text, codes_for_staff, tests_for_staff


@admin.register(models.TransportOverride)
class TransportOverrideAdmin(admin.ModelAdmin):
    list_display = ("scope", "name", "use_submissions_table", "modified")
    list_filter = ("scope", "use_submissions_table")
    search_fields = ("name",)


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
class GraderAdmin(admin.ModelAdmin):
    """Admin of graders and their queues. A new secret is shown once."""

    list_display = ("name", "is_active", "queues", "last_seen_at", "last_failed_login_at")
    list_filter = ("is_active",)
    search_fields = ("name",)
    inlines = (QueueGrantInline, ReplyCodeCountInline)
    actions = ("rotate_secret",)

    @admin.display(description=gettext_lazy("queues"))
    def queues(self, grader: models.Grader) -> str:
        return ", ".join(grant.queue_name for grant in grader.grants.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.Grader]:
        return super().get_queryset(request).prefetch_related("grants")

    @admin.action(
        description=gettext_lazy("Rotate secret (old one valid for 24 h)"), permissions=["change"]
    )
    def rotate_secret(self, request: HttpRequest, graders: QuerySet[models.Grader]) -> None:
        overlap = submission_queue.ROTATION_OVERLAP
        for grader in graders:
            secret = submission_queue.issue_secret(grader, overlap=overlap)
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
        "grader",
        "course_key",
        "usage_key",
        "dispatch",
        "transport",
    )
    retry_description = gettext_lazy("Requeue selected submissions")
    retried = ngettext_lazy(
        "%(count)d submission requeued.", "%(count)d submissions requeued.", "count"
    )
    retry_condition = gettext_lazy(
        "Only failed submissions can be requeued, unless the learner has answered again, or the "
        "failure cannot be undone with this REPLY_BACKEND. The log has the reasons."
    )

    def retry_rows(self, ids: Sequence[int]) -> int:
        return submission_queue.requeue(ids)


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


@admin.register(models.RetiredLearner)
class RetiredLearnerAdmin(ReadOnlyAdmin):
    """Admin of tombstones. After a tombstone is deleted, replies to that learner are accepted."""

    list_display = ("user_id", "mode", "started_at", "finished_at", "late_replies")
    list_filter = ("mode", ("finished_at", admin.EmptyFieldListFilter))
    search_fields = ("=user_id",)
    fields = list_display

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


@admin.register(models.CrawlersConfig)
class CrawlersConfigAdmin(admin.ModelAdmin):
    """Admin of the one row with the user agents that only read."""

    list_display = ("__str__", "enabled", "known_user_agents", "modified")
    fields = ("enabled", "known_user_agents", "modified")
    readonly_fields = ("modified",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        allowed = super().has_add_permission(request)
        return allowed and not models.CrawlersConfig.objects.exists()


@admin.register(models.ScoreLedger)
class ScoreLedgerAdmin(ReadOnlyAdmin):
    list_display = ("idempotency_key", "user_id", "earned", "outcome", "duplicate_count", "created")
    list_filter = ("outcome",)
    search_fields = ("=user_id", "=usage_key", "=idempotency_key")
    fields = (*list_display, "possible", "attempt", "course_key", "usage_key", "modified")


@admin.register(models.GradeRecalculation)
class GradeRecalculationAdmin(RetryAdmin):
    """Admin of dirty grades; a failed one has a ``last_error`` and no ``next_attempt_at``."""

    list_display = (
        "user_id",
        "course_id",
        "wanted",
        "done",
        "next_attempt_at",
        "attempts",
        "last_error",
    )
    search_fields = ("=user_id", "=course_id", "last_error")
    fields = (*list_display, "finished_at")
    retry_description = gettext_lazy("Retry selected recalculations")
    retried = ngettext_lazy(
        "%(count)d grade will be recalculated.", "%(count)d grades will be recalculated.", "count"
    )
    retry_condition = gettext_lazy("Only failed recalculations can be retried.")

    def retry_rows(self, ids: Sequence[int]) -> int:
        return course_grades.retry_failed(ids)


@admin.register(models.PersistentCourseGrade)
class PersistentCourseGradeAdmin(ReadOnlyAdmin):
    list_display = ("user_id", "course_id", "percent_grade", "letter_grade", "passed")
    list_filter = ("passed",)
    search_fields = ("=user_id", "=course_id")
    fields = (
        *list_display,
        "modified",
        "passed_timestamp",
        "computed_at",
        "exact_percent",
        "course_version",
        "grading_policy_hash",
        "version",
    )


@admin.register(models.PersistentSubsectionGradeOverrideHistory)
class OverrideHistoryAdmin(ReadOnlyAdmin):
    list_display = ("user_id", "action", "earned_graded_override", "author_id", "created")
    list_filter = ("action",)
    search_fields = ("=user_id", "=course_id", "=usage_key")
    fields = (
        *list_display,
        "possible_graded_override",
        "override_reason",
        "course_id",
        "usage_key",
        "earned_all_override",
        "possible_all_override",
        "system",
    )


@admin.register(models.GradeOutbox)
class GradeOutboxAdmin(RetryAdmin):
    list_display = ("id", "user_id", "course_id", "status", "attempts", "last_error")
    list_filter = ("status",)
    search_fields = ("=user_id", "=course_id")
    fields = (
        *list_display,
        "next_attempt_at",
        "verified",
        "wanted_version",
        "wanted_modified",
        "sent_version",
        "sent_modified",
        "sent_at",
    )
    retry_description = gettext_lazy("Resend selected grades")
    retried = ngettext_lazy(
        "%(count)d grade will be sent again.", "%(count)d grades will be sent again.", "count"
    )
    retry_condition = gettext_lazy("Grades that are being sent now cannot be resent.")

    def retry_rows(self, ids: Sequence[int]) -> int:
        return credentials.resend_rows(ids)


@admin.register(models.Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("kind", "queue_name", "is_open", "changed_at", "notified_at", "last_error")
    list_filter = ("is_open", "kind", "queue_name")
    fields = (*list_display, "detail", "is_told", "attempts", "next_attempt_at")
