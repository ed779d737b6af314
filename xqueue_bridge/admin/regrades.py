"""Admin of regrades and their items. Course teams start and end them on their own pages."""

from __future__ import annotations

from django.contrib import admin

from xqueue_bridge import models
from xqueue_bridge.admin.base import ReadOnlyAdmin


@admin.register(models.Regrade)
class RegradeAdmin(ReadOnlyAdmin):
    list_display = ("id", "course_key", "scope", "status", "author_id", "created_at")
    list_filter = ("status", "scope")
    search_fields = ("=course_key", "=author_id")
    fields = (
        *list_display,
        "usage_key",
        "queue_name",
        "since",
        "only_if_higher",
        "keep_feedback",
        "per_minute",
        "released_until",
        "finished_at",
    )


@admin.register(models.RegradeItem)
class RegradeItemAdmin(ReadOnlyAdmin):
    list_display = ("id", "regrade", "original_id", "user_id", "status", "changed_at")
    list_filter = ("status",)
    list_select_related = ("regrade",)
    search_fields = ("=regrade__id", "=user_id", "=original_id")
    fields = (
        *list_display,
        "submission_id",
        "usage_key",
        "queue_name",
        "answer_id",
        "points_before",
        "points_after",
        "reason",
    )
