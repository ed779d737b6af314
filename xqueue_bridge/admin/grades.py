"""Admin of course grades, overrides, recalculations and the outbox."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.utils.translation import gettext_lazy, ngettext_lazy

from xqueue_bridge import models
from xqueue_bridge.admin.base import ReadOnlyAdmin, RetryAdmin
from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import api as credentials


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
