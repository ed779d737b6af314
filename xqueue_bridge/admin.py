"""Admin of the bridge's models. Keys and learners' work are never shown.

A list shows the columns that fit a window of 1280 pixels; the change page shows the rest.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from xqueue_bridge import models
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import api as credentials
from xqueue_bridge.db.batches import id_batches
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.submission_queue import api as submission_queue


class ReadOnlyAdmin(admin.ModelAdmin):
    """Admin of rows that only the bridge writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.TransportOverride)
class TransportOverrideAdmin(admin.ModelAdmin):
    list_display = ("scope", "name", "use_submissions_table", "modified")
    list_filter = ("scope", "use_submissions_table")
    search_fields = ("name",)


class QueueGrantInline(admin.TabularInline):
    model = models.QueueGrant
    extra = 1


@admin.register(models.Grader)
class GraderAdmin(admin.ModelAdmin):
    """Admin of graders and their queues. A secret is shown once, when it is issued here."""

    list_display = ("name", "is_active", "queues", "note", "created_at")
    list_filter = ("is_active",)
    search_fields = ("name",)
    inlines = (QueueGrantInline,)
    actions = ("issue_secret",)

    @admin.display(description="queues")
    def queues(self, grader: models.Grader) -> str:
        return ", ".join(grant.queue_name for grant in grader.grants.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.Grader]:
        return super().get_queryset(request).prefetch_related("grants")

    @admin.action(
        description="Issue a new secret (the former one lives for a day)", permissions=["change"]
    )
    def issue_secret(self, request: HttpRequest, graders: QuerySet[models.Grader]) -> None:
        for grader in graders:
            secret = submission_queue.issue_secret(
                grader, overlap=submission_queue.ROTATION_OVERLAP
            )
            self.message_user(
                request,
                f"New secret of {grader.name}, shown only now: {secret}",
                messages.WARNING,
            )


@admin.register(models.Submission)
class SubmissionAdmin(ReadOnlyAdmin):
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
    show_full_result_count = False
    actions = ("requeue",)

    @admin.action(description="Offer to graders again", permissions=["requeue"])
    def requeue(self, request: HttpRequest, submissions: QuerySet[models.Submission]) -> None:
        changed = sum(map(submission_queue.requeue, id_batches(submissions)))
        self.message_user(request, f"{changed} submissions wait for a grader again.")

    def has_requeue_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("xqueue_bridge.change_submission")


@admin.register(models.ReceivedReply)
class ReceivedReplyAdmin(ReadOnlyAdmin):
    list_display = ("id", "submission_id", "status", "attempts", "last_error", "received_at")
    list_filter = ("status", "source")
    fields = (
        "id",
        "submission",
        "source",
        *list_display[2:],
        "score_given",
        "score_applied",
        "applied_at",
        "next_attempt_at",
    )
    show_full_result_count = False
    actions = ("retry_dead",)

    @admin.action(description="Retry selected dead replies", permissions=["retry_dead"])
    def retry_dead(self, request: HttpRequest, replies: QuerySet[models.ReceivedReply]) -> None:
        changed = sum(map(grader_replies.retry_dead, id_batches(replies)))
        self.message_user(request, f"{changed} replies will be applied again.")

    def has_retry_dead_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("xqueue_bridge.change_receivedreply")


@admin.register(models.RetiredLearner)
class RetiredLearnerAdmin(ReadOnlyAdmin):
    """Admin of tombstones. After a tombstone is deleted, replies to that learner are accepted."""

    list_display = ("user_id", "mode", "started_at", "finished_at", "late_replies")
    list_filter = ("mode", ("finished_at", admin.EmptyFieldListFilter))
    search_fields = ("=user_id",)
    fields = list_display

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
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
    show_full_result_count = False


@admin.register(models.GradeRecalculation)
class GradeRecalculationAdmin(ReadOnlyAdmin):
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
    show_full_result_count = False
    actions = ("try_again",)

    @admin.action(description="Compute failed ones after all", permissions=["try_again"])
    def try_again(self, request: HttpRequest, rows: QuerySet[models.GradeRecalculation]) -> None:
        changed = sum(map(course_grades.retry_failed, id_batches(rows)))
        self.message_user(request, f"{changed} grades will be computed again.")

    def has_try_again_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("xqueue_bridge.change_graderecalculation")


@admin.register(models.PersistentCourseGrade)
class PersistentCourseGradeAdmin(ReadOnlyAdmin):
    list_display = (
        "user_id",
        "course_id",
        "percent_grade",
        "letter_grade",
        "passed",
    )
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
    show_full_result_count = False


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
    show_full_result_count = False


@admin.register(models.GradeOutbox)
class GradeOutboxAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "user_id",
        "course_id",
        "status",
        "attempts",
        "last_error",
    )
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
    show_full_result_count = False
    actions = ("send_again",)

    @admin.action(description="Send to Credentials again", permissions=["send_again"])
    def send_again(self, request: HttpRequest, rows: QuerySet[models.GradeOutbox]) -> None:
        changed = sum(map(credentials.resend_rows, id_batches(rows)))
        self.message_user(request, f"{changed} grades will be sent again.")

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("xqueue_bridge.change_gradeoutbox")
