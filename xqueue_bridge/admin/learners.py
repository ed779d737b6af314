"""Admin of learners' tombstones and scores, and of crawlers."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from xqueue_bridge import models
from xqueue_bridge.admin.base import ReadOnlyAdmin, RecordedAdmin


@admin.register(models.RetiredLearner)
class RetiredLearnerAdmin(RecordedAdmin, ReadOnlyAdmin):
    """Admin of tombstones. After a tombstone is deleted, replies to that learner are accepted."""

    list_display = ("user_id", "mode", "started_at", "finished_at", "late_replies")
    list_filter = ("mode", ("finished_at", admin.EmptyFieldListFilter))
    search_fields = ("=user_id",)
    fields = list_display

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


@admin.register(models.CrawlersConfig)
class CrawlersConfigAdmin(RecordedAdmin):
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
