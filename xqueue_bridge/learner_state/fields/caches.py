"""Write-through caches of fields, one for each scope; one statement fills a cache.

A cache holds values in their JSON form, returns copies, and changes only after a write has
succeeded.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from opaque_keys.edx.asides import AsideUsageKeyV1, AsideUsageKeyV2
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.learner_state.fields.key_value_store import FieldKey
from xqueue_bridge.learner_state.user_state import XBlockUserStateClient, state_client
from xqueue_bridge.lms.keys import without_branch

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

    User: TypeAlias = AbstractBaseUser | AnonymousUser

#: The key by which a scope groups fields: a usage key, a block type, or None for the learner.
CacheGroup = TypeVar("CacheGroup", bound=Hashable)
#: An XBlock, whose package is optional.
Block: TypeAlias = Any
#: cache group, field name, value, time of the last change
Found: TypeAlias = tuple[CacheGroup, str, object, datetime | None]


class FieldCache(ABC, Generic[CacheGroup]):
    """The fields of one scope that have been read so far."""

    #: Whether fields of this scope belong to one learner.
    is_per_learner: ClassVar[bool] = True

    def __init__(self) -> None:
        self._known: set[CacheGroup] = set()
        self._values: dict[CacheGroup, dict[str, object]] = defaultdict(dict)
        self._modified: dict[tuple[CacheGroup, str], datetime | None] = {}

    def __len__(self) -> int:
        """Return how many fields are cached."""
        return sum(map(len, self._values.values()))

    def cache_fields(self, blocks: Iterable[Block], aside_types: Sequence[str] = ()) -> None:
        """Read the stored fields of the blocks and their asides that are not cached yet."""
        self._load(self._groups(blocks, aside_types))

    def mark_loaded(self, blocks: Iterable[Block]) -> None:
        """Mark blocks as loaded without fields of this scope, so that no query is made for them."""
        self._known |= self._groups(blocks, ())

    def get(self, key: FieldKey) -> object:
        """Return a copy of the value. Raises KeyError if the field is not stored."""
        return copy.deepcopy(self._fields_at(self.group_of(key))[key.field_name])

    def has(self, key: FieldKey) -> bool:
        return key.field_name in self._fields_at(self.group_of(key))

    def last_modified(self, key: FieldKey) -> datetime | None:
        """Return a time since which the field has not changed; None if it is not stored."""
        group = self.group_of(key)
        if key.field_name not in self._fields_at(group):
            return None
        return self._modified.get((group, key.field_name)) or self._load_modified(
            group, key.field_name
        )

    def set_many(self, values: Mapping[FieldKey, object]) -> None:
        """Store all of the values, or none; they must be in their JSON form."""
        groups: dict[CacheGroup, dict[str, object]] = defaultdict(dict)
        for key, value in values.items():
            groups[self.group_of(key)][key.field_name] = value
        modified = self._write(groups)
        # A group that was not read stays unread: else its other stored fields would look absent.
        for group in groups.keys() & self._known:
            for field_name, value in groups[group].items():
                self._remember(group, field_name, copy.deepcopy(value), modified)

    def delete(self, key: FieldKey) -> None:
        """Delete the field. Raises KeyError if it is not stored."""
        group = self.group_of(key)
        if key.field_name not in self._fields_at(group):
            raise KeyError(key.field_name)
        self._delete(group, key.field_name)
        del self._values[group][key.field_name]

    @abstractmethod
    def group_of(self, key: FieldKey) -> CacheGroup:
        """Return the cache group of the key's field."""

    @abstractmethod
    def _groups(self, blocks: Iterable[Block], aside_types: Sequence[str]) -> set[CacheGroup]: ...

    @abstractmethod
    def _read(self, groups: set[CacheGroup]) -> Iterator[Found[CacheGroup]]:
        """Yield every stored field of the cache groups."""

    @abstractmethod
    def _write(self, groups: Mapping[CacheGroup, Mapping[str, object]]) -> datetime | None:
        """Store all or nothing; return the rows' new time of change, None if unknown."""

    @abstractmethod
    def _delete(self, group: CacheGroup, field_name: str) -> None: ...

    def _load_modified(self, group: CacheGroup, field_name: str) -> datetime | None:
        """Return a time of change that neither a read nor a write has returned."""
        return None

    def _load(self, groups: Iterable[CacheGroup]) -> None:
        unknown = set(groups) - self._known
        if unknown:
            for found in self._read(unknown):
                self._remember(*found)
            self._known |= unknown

    def _remember(
        self, group: CacheGroup, field_name: str, value: object, modified: datetime | None
    ) -> None:
        self._values[group][field_name] = value
        self._modified[group, field_name] = modified

    def _fields_at(self, group: CacheGroup) -> Mapping[str, object]:
        """Return the fields of a cache group; one that was not loaded costs one statement.

        Without this read a block that is rendered by another path would look new to the learner,
        and its next save would store that.
        """
        self._load([group])
        return self._values.get(group, {})


def usage_keys(blocks: Iterable[Block], aside_types: Sequence[str]) -> set[UsageKey]:
    """Return the usage keys of blocks and of their asides, in both forms of aside keys."""
    keys = {without_branch(block.scope_ids.usage_id) for block in blocks}
    forms: tuple[Any, ...] = (AsideUsageKeyV1, AsideUsageKeyV2)
    asides = {form(key, type_) for form in forms for key in keys for type_ in aside_types}
    return keys | asides


class UserStateCache(FieldCache[UsageKey]):
    """Scope user_state: the learner's fields at each block; uses the user-state client."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self.user = user

    def __len__(self) -> int:
        """Return the number of blocks with state."""
        return sum(map(bool, self._values.values()))

    @cached_property
    def client(self) -> XBlockUserStateClient:
        return state_client(self.user)

    def group_of(self, key: FieldKey) -> UsageKey:
        return without_branch(key.block_scope_id)

    def _groups(self, blocks: Iterable[Block], aside_types: Sequence[str]) -> set[UsageKey]:
        return usage_keys(blocks, aside_types)

    def _read(self, groups: set[UsageKey]) -> Iterator[Found[UsageKey]]:
        for found in self.client.get_many(self.user.get_username(), list(groups)):
            for field_name, value in (found.state or {}).items():
                yield found.block_key, field_name, value, found.updated

    def _write(self, groups: Mapping[UsageKey, Mapping[str, object]]) -> None:
        self.client.set_many(self.user.get_username(), groups)

    def _delete(self, group: UsageKey, field_name: str) -> None:
        self.client.delete(self.user.get_username(), group, fields=[field_name])

    def _load_modified(self, group: UsageKey, field_name: str) -> datetime | None:
        """Read the row again, because the client does not return the time of its write."""
        for found in self.client.get_many(self.user.get_username(), [group], fields=[field_name]):
            self._modified[group, field_name] = found.updated
            return found.updated
        return None
