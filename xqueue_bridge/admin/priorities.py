"""Admin of priorities; each change is recorded."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from xqueue_bridge import models
from xqueue_bridge.operations import api as operations


@admin.register(models.Priority)
class PriorityAdmin(admin.ModelAdmin):
    list_display = list_display_links = ("course_key", "queue_name", "level")
    empty_value_display = "*"
    list_filter = ("level",)
    search_fields = ("queue_name", "course_key")
    actions = None  # deleting several at once would not be recorded

    def get_readonly_fields(
        self, request: HttpRequest, obj: models.Priority | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("queue_name", "course_key")

    def save_model(
        self, request: HttpRequest, obj: models.Priority, form: Any, change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        operations.record_priority(obj.queue_name, obj.course_key, obj.level, request.user.pk)

    def delete_model(self, request: HttpRequest, obj: models.Priority) -> None:
        super().delete_model(request, obj)
        operations.record_priority(obj.queue_name, obj.course_key, None, request.user.pk)
