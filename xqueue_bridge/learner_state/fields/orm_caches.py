"""Caches of the scopes whose tables have one row for each field."""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from django.db.models import QuerySet
from django.utils import timezone
from opaque_keys.edx.block_types import BlockTypeKeyV1
from opaque_keys.edx.keys import BlockTypeKey, UsageKey

from xqueue_bridge.db.merge import upsert
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.learner_state.encoding import read_value
from xqueue_bridge.learner_state.fields.caches import (
    Block,
    CacheGroup,
    FieldCache,
    Found,
    usage_keys,
)
from xqueue_bridge.learner_state.fields.key_value_store import FieldKey
from xqueue_bridge.learner_state.fields.models import (
    StoredField,
    XModuleStudentInfoField,
    XModuleStudentPrefsField,
    XModuleUserStateSummaryField,
)
from xqueue_bridge.lms.keys import with_run, without_branch

if TYPE_CHECKING:
    from xqueue_bridge.learner_state.fields.caches import User

log = logging.getLogger(__name__)

ASIDE_FAMILY = "xblock_asides.v1"

_block_type: Any = BlockTypeKeyV1  # abstract only in its annotations

FieldRow = TypeVar("FieldRow", bound=StoredField)


class DjangoOrmFieldCache(FieldCache[CacheGroup], Generic[CacheGroup, FieldRow]):
    """A scope with one row for each field; one statement writes any number of fields."""

    model: ClassVar[type[StoredField]]
    #: The columns that, with the field's name, identify a row.
    where: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _columns(self, group: CacheGroup) -> dict[str, object]:
        """Return the filter on the columns ``where`` for a cache group."""

    @abstractmethod
    def _rows(self, groups: set[CacheGroup]) -> QuerySet[FieldRow]: ...

    @abstractmethod
    def _group_of_row(self, row: FieldRow) -> CacheGroup: ...

    def _read(self, groups: set[CacheGroup]) -> Iterator[Found[CacheGroup]]:
        for row in self._rows(groups):
            try:
                value = read_value(row.value)
            except ValueError:
                # As if it were not stored: the block uses its default, and may write a new value.
                log.warning("%s %s: its value is not JSON", self.model.__name__, row.pk)
                continue
            yield self._group_of_row(row), row.field_name, value, row.modified

    def _write(self, groups: Mapping[CacheGroup, Mapping[str, object]]) -> datetime:
        now = timezone.now()
        rows = [
            self.model(
                **self._columns(group),
                field_name=field_name,
                value=json.dumps(value),
                created=now,
                modified=now,
            )
            for group, fields in groups.items()
            for field_name, value in fields.items()
        ]
        # Two writers that lock rows in the same order do not deadlock.
        rows.sort(key=lambda row: [str(getattr(row, name)) for name in self._unique()])
        in_transaction(lambda: upsert(rows, key=self._unique(), fields=["value", "modified"]))
        return now

    def _delete(self, group: CacheGroup, field_name: str) -> None:
        columns = self._columns(group)
        self.model._default_manager.filter(**columns, field_name=field_name).delete()

    def _unique(self) -> tuple[str, ...]:
        return (*self.where, "field_name")


class UserStateSummaryCache(DjangoOrmFieldCache[UsageKey, XModuleUserStateSummaryField]):
    """Scope user_state_summary: a block's fields that all its learners share."""

    is_per_learner = False
    model = XModuleUserStateSummaryField
    where = ("course_id", "usage_id")

    def group_of(self, key: FieldKey) -> UsageKey:
        return without_branch(key.block_scope_id)

    def _groups(self, blocks: Iterable[Block], aside_types: Sequence[str]) -> set[UsageKey]:
        return usage_keys(blocks, aside_types)

    def _columns(self, group: UsageKey) -> dict[str, object]:
        return {"course_id": group.context_key, "usage_id": group}

    def _rows(self, groups: set[UsageKey]) -> QuerySet[XModuleUserStateSummaryField]:
        contexts = {group.context_key for group in groups}
        return self.model.objects.filter(course_id__in=contexts, usage_id__in=groups)

    def _group_of_row(self, row: XModuleUserStateSummaryField) -> UsageKey:
        return with_run(row.usage_id, row.course_id)


class PreferencesCache(DjangoOrmFieldCache[BlockTypeKey, XModuleStudentPrefsField]):
    """Scope preferences: the learner's preferences, at all blocks of one type."""

    model = XModuleStudentPrefsField
    where = ("student_id", "module_type")

    def __init__(self, user: User) -> None:
        super().__init__()
        self.user = user

    def group_of(self, key: FieldKey) -> BlockTypeKey:
        return _block_type(key.block_family, key.block_scope_id)

    def _groups(self, blocks: Iterable[Block], aside_types: Sequence[str]) -> set[BlockTypeKey]:
        types = {_block_type(block.entry_point, block.scope_ids.block_type) for block in blocks}
        return types | {_block_type(ASIDE_FAMILY, aside_type) for aside_type in aside_types}

    def _columns(self, group: BlockTypeKey) -> dict[str, object]:
        return {"student_id": self.user.pk, "module_type": group}

    def _rows(self, groups: set[BlockTypeKey]) -> QuerySet[XModuleStudentPrefsField]:
        return self.model.objects.filter(student_id=self.user.pk, module_type__in=groups)

    def _group_of_row(self, row: XModuleStudentPrefsField) -> BlockTypeKey:
        return row.module_type


class UserInfoCache(DjangoOrmFieldCache[None, XModuleStudentInfoField]):
    """Scope user_info: the learner's fields that blocks of every type share."""

    model = XModuleStudentInfoField
    where = ("student_id",)

    def __init__(self, user: User) -> None:
        super().__init__()
        self.user = user

    def group_of(self, key: FieldKey) -> None:
        return None

    def mark_loaded(self, blocks: Iterable[Block]) -> None:
        """Do nothing: other blocks may have fields of this scope for the same learner."""

    def _groups(self, blocks: Iterable[Block], aside_types: Sequence[str]) -> set[None]:
        return {None}

    def _columns(self, group: None) -> dict[str, object]:
        return {"student_id": self.user.pk}

    def _rows(self, groups: set[None]) -> QuerySet[XModuleStudentInfoField]:
        return self.model.objects.filter(student_id=self.user.pk)

    def _group_of_row(self, row: XModuleStudentInfoField) -> None:
        return None
