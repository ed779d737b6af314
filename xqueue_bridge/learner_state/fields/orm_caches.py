"""Caches of the scopes whose tables have one row for each field."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from django.db.models import QuerySet
from django.utils import timezone
from opaque_keys.edx.block_types import BlockTypeKeyV1

from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.db.upsert import upsert
from xqueue_bridge.learner_state.fields.caches import FieldCache, Found, Place, usage_keys
from xqueue_bridge.learner_state.fields.key_value_store import FieldKey
from xqueue_bridge.learner_state.fields.models import (
    StoredField,
    XModuleStudentInfoField,
    XModuleStudentPrefsField,
    XModuleUserStateSummaryField,
)
from xqueue_bridge.lms.keys import with_run, without_branch

ASIDE_FAMILY = "xblock_asides.v1"

_block_type: Any = BlockTypeKeyV1  # abstract only in its annotations

Row = TypeVar("Row", bound=StoredField)


class DjangoOrmFieldCache(FieldCache, Generic[Row]):
    """A scope with one row for each field; one statement writes any number of fields."""

    model: ClassVar[type[StoredField]]
    #: The columns that, with the field's name, identify a row.
    where: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _columns(self, place: Place) -> dict[str, Any]:
        """Return the filter on the columns ``where`` for a cache group."""

    @abstractmethod
    def _rows(self, places: set[Place]) -> QuerySet[Any]: ...

    @abstractmethod
    def _place_of(self, row: Any) -> Place: ...

    def _read(self, places: set[Place]) -> Iterator[Found]:
        for row in self._rows(places):
            yield self._place_of(row), row.field_name, json.loads(row.value), row.modified

    def _write(self, groups: Mapping[Place, Mapping[str, Any]]) -> datetime:
        now = timezone.now()
        rows = [
            self.model(
                **self._columns(place),
                field_name=field_name,
                value=json.dumps(value),
                created=now,
                modified=now,
            )
            for place, fields in groups.items()
            for field_name, value in fields.items()
        ]
        # Two writers that lock rows in the same order do not deadlock.
        rows.sort(key=lambda row: [str(getattr(row, name)) for name in self._unique()])
        in_transaction(lambda: upsert(rows, key=self._unique(), fields=["value", "modified"]))
        return now

    def _erase(self, place: Place, field_name: str) -> None:
        columns = self._columns(place)
        self.model._default_manager.filter(**columns, field_name=field_name).delete()

    def _unique(self) -> tuple[str, ...]:
        return (*self.where, "field_name")


class UserStateSummaryCache(DjangoOrmFieldCache[XModuleUserStateSummaryField]):
    """Scope user_state_summary: a block's fields that all its learners share."""

    is_per_learner = False
    model = XModuleUserStateSummaryField
    where = ("course_id", "usage_id")

    def place(self, key: FieldKey) -> Place:
        return without_branch(key.block_scope_id)

    def _places(self, blocks: Iterable[Any], aside_types: Sequence[str]) -> set[Place]:
        return set(usage_keys(blocks, aside_types))

    def _columns(self, place: Any) -> dict[str, Any]:
        return {"course_id": place.context_key, "usage_id": place}

    def _rows(self, places: set[Any]) -> QuerySet[Any]:
        contexts = {place.context_key for place in places}
        return self.model.objects.filter(course_id__in=contexts, usage_id__in=places)

    def _place_of(self, row: Any) -> Place:
        return with_run(row.usage_id, row.course_id)


class PreferencesCache(DjangoOrmFieldCache[XModuleStudentPrefsField]):
    """Scope preferences: the learner's preferences, at all blocks of one type."""

    model = XModuleStudentPrefsField
    where = ("student_id", "module_type")

    def __init__(self, user: Any) -> None:
        super().__init__()
        self.user = user

    def place(self, key: FieldKey) -> Place:
        return _block_type(key.block_family, key.block_scope_id)

    def _places(self, blocks: Iterable[Any], aside_types: Sequence[str]) -> set[Place]:
        types = {_block_type(block.entry_point, block.scope_ids.block_type) for block in blocks}
        return types | {_block_type(ASIDE_FAMILY, aside_type) for aside_type in aside_types}

    def _columns(self, place: Place) -> dict[str, Any]:
        return {"student_id": self.user.pk, "module_type": place}

    def _rows(self, places: set[Place]) -> QuerySet[Any]:
        return self.model.objects.filter(student_id=self.user.pk, module_type__in=places)

    def _place_of(self, row: XModuleStudentPrefsField) -> Place:
        return row.module_type


class UserInfoCache(DjangoOrmFieldCache[XModuleStudentInfoField]):
    """Scope user_info: the learner's fields that blocks of every type share."""

    model = XModuleStudentInfoField
    where = ("student_id",)

    def __init__(self, user: Any) -> None:
        super().__init__()
        self.user = user

    def place(self, key: FieldKey) -> Place:
        return None

    def mark_loaded(self, blocks: Iterable[Any]) -> None:
        """Do nothing: other blocks may have fields of this scope for the same learner."""

    def _places(self, blocks: Iterable[Any], aside_types: Sequence[str]) -> set[Place]:
        return {None}

    def _columns(self, place: Place) -> dict[str, Any]:
        return {"student_id": self.user.pk}

    def _rows(self, places: set[Place]) -> QuerySet[Any]:
        return self.model.objects.filter(student_id=self.user.pk)

    def _place_of(self, row: XModuleStudentInfoField) -> Place:
        return None
