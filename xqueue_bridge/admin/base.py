"""Base classes of the bridge's admin pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise

from xqueue_bridge.db.batches import id_batches
from xqueue_bridge.operations import api as operations


class ReadOnlyAdmin(admin.ModelAdmin):
    """Admin of rows that only the bridge writes."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class RecordedAdmin(admin.ModelAdmin):
    """Admin of rows that people write: each change is recorded in its transaction."""

    def record(self, request: HttpRequest, row: Any, *, is_deleted: bool = False) -> None:
        """Record that a row was saved or deleted; by default only in which table."""
        operations.record(
            operations.OperatorAction.Kind.OTHER,
            request.user.pk,
            parameters={"table": self.opts.model_name},
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self.record(request, obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        self.record(request, obj, is_deleted=True)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            for row in queryset:
                self.delete_model(request, row)


class RetryAdmin(ReadOnlyAdmin):
    """Admin of rows with work that can fail; its one action makes selected rows due again.

    The action needs the model's ``change`` permission, and is recorded. If it skips selected rows,
    the message says which rows it takes.
    """

    actions: Any = ("retry",)
    retry_description: ClassVar[str | Promise]
    #: Messages; ``retried`` contains %(count)d.
    retried: ClassVar[str | Promise]
    retry_condition: ClassVar[str | Promise]
    recorded_kind: ClassVar[str] = operations.OperatorAction.Kind.OTHER

    @admin.action(permissions=["retry"])
    def retry(self, request: HttpRequest, rows: QuerySet[Model]) -> None:
        selected, changed = self.retry_and_record(rows, request.user.pk)
        text, level = str(self.retried % {"count": changed}), messages.SUCCESS
        if changed < selected:
            text, level = f"{text} {self.retry_condition}", messages.WARNING
        self.message_user(request, text, level)

    def retry_and_record(self, rows: QuerySet[Model], author_id: int | None) -> tuple[int, int]:
        """Retry rows and record it in one transaction; return how many were selected, and done."""
        selected = changed = 0
        with transaction.atomic():
            for ids in id_batches(rows):
                selected += len(ids)
                changed += self.retry_rows(ids)
            operations.record(
                self.recorded_kind,
                author_id,
                parameters={"table": self.opts.model_name},
                selected=selected,
                changed=changed,
            )
        return selected, changed

    def retry_rows(self, ids: Sequence[int]) -> int:
        """Retry those of these rows that can be retried; return how many."""
        raise NotImplementedError

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        if (action := actions.get("retry")) is not None:
            actions["retry"] = (*action[:2], str(self.retry_description))
        return actions

    def has_retry_permission(self, request: HttpRequest) -> bool:
        codename = get_permission_codename("change", self.opts)
        return request.user.has_perm(f"{self.opts.app_label}.{codename}")
