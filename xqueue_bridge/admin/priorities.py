"""Admin of priorities; each change is recorded."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from xqueue_bridge import models
from xqueue_bridge.admin.base import RecordedAdmin
from xqueue_bridge.operations import api as operations


@admin.register(models.Priority)
class PriorityAdmin(RecordedAdmin):
    list_display = list_display_links = ("course_key", "queue_name", "level")
    empty_value_display = "*"
    list_filter = ("level",)
    search_fields = ("queue_name", "course_key")

    def get_readonly_fields(
        self, request: HttpRequest, obj: models.Priority | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("queue_name", "course_key")

    def record(
        self, request: HttpRequest, row: models.Priority, *, is_deleted: bool = False
    ) -> None:
        level = None if is_deleted else row.level
        operations.record_priority(row.queue_name, row.course_key, level, request.user.pk)
