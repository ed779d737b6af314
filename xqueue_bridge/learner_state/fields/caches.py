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
from typing import Any, ClassVar, TypeAlias

from opaque_keys.edx.asides import AsideUsageKeyV1, AsideUsageKeyV2
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.learner_state.fields.key_value_store import FieldKey
from xqueue_bridge.learner_state.user_state import state_client
from xqueue_bridge.lms.keys import without_branch

#: The key by which a scope groups fields: a usage key, a block type, or None for the learner.
Place: TypeAlias = Hashable
#: cache group, field name, value, time of the last change
Found: TypeAlias = tuple[Place, str, Any, datetime | None]


class FieldCache(ABC):
    """The fields of one scope that have been read so far."""

    #: Whether fields of this scope belong to one learner.
    is_per_learner: ClassVar[bool] = True

    def __init__(self) -> None:
        self._known: set[Place] = set()
        self._values: dict[Place, dict[str, Any]] = defaultdict(dict)
        self._modified: dict[tuple[Place, str], datetime | None] = {}

    def __len__(self) -> int:
        """Return how many fields are cached."""
        return sum(map(len, self._values.values()))

    def cache_fields(self, blocks: Iterable[Any], aside_types: Sequence[str] = ()) -> None:
        """Read the stored fields of the blocks and their asides that are not cached yet."""
        self._load(self._places(blocks, aside_types))

    def mark_loaded(self, blocks: Iterable[Any]) -> None:
        """Mark blocks as loaded without fields of this scope, so that no query is made for them."""
        self._known |= self._places(blocks, ())

    def get(self, key: FieldKey) -> Any:
        """Return a copy of the value. Raises KeyError if the field is not stored."""
        return copy.deepcopy(self._fields_at(self.place(key))[key.field_name])

    def has(self, key: FieldKey) -> bool:
        return key.field_name in self._fields_at(self.place(key))

    def last_modified(self, key: FieldKey) -> datetime | None:
        """Return a time since which the field has not changed; None if it is not stored."""
        place = self.place(key)
        if key.field_name not in self._fields_at(place):
            return None
        return self._modified.get((place, key.field_name)) or self._ask_when(place, key.field_name)

    def set_many(self, values: Mapping[FieldKey, Any]) -> None:
        """Store all of the values, or none; they must be in their JSON form."""
        groups: dict[Place, dict[str, Any]] = defaultdict(dict)
        for key, value in values.items():
            groups[self.place(key)][key.field_name] = value
        modified = self._write(groups)
        # A group that was not read stays unread: else its other stored fields would look absent.
        for place in groups.keys() & self._known:
            for field_name, value in groups[place].items():
                self._hold(place, field_name, copy.deepcopy(value), modified)

    def delete(self, key: FieldKey) -> None:
        """Delete the field. Raises KeyError if it is not stored."""
        place = self.place(key)
        if key.field_name not in self._fields_at(place):
            raise KeyError(key.field_name)
        self._erase(place, key.field_name)
        del self._values[place][key.field_name]
        self._modified.pop((place, key.field_name), None)

    @abstractmethod
    def place(self, key: FieldKey) -> Place:
        """Return the cache group of the key's field."""

    @abstractmethod
    def _places(self, blocks: Iterable[Any], aside_types: Sequence[str]) -> set[Place]: ...

    @abstractmethod
    def _read(self, places: set[Place]) -> Iterator[Found]:
        """Yield every stored field of the cache groups."""

    @abstractmethod
    def _write(self, groups: Mapping[Place, Mapping[str, Any]]) -> datetime | None:
        """Store all or nothing; return the rows' new time of change, None if unknown."""

    @abstractmethod
    def _erase(self, place: Place, field_name: str) -> None: ...

    def _ask_when(self, place: Place, field_name: str) -> datetime | None:
        """Return a time of change that neither a read nor a write has returned."""
        return None

    def _load(self, places: Iterable[Place]) -> None:
        unknown = set(places) - self._known
        if unknown:
            for found in self._read(unknown):
                self._hold(*found)
            self._known |= unknown

    def _hold(self, place: Place, field_name: str, value: Any, modified: datetime | None) -> None:
        self._values[place][field_name] = value
        self._modified[place, field_name] = modified

    def _fields_at(self, place: Place) -> Mapping[str, Any]:
        """Return the fields of a cache group; one that was not loaded costs one statement.

        Without this read a block that is rendered by another path would look new to the learner,
        and its next save would store that.
        """
        self._load([place])
        return self._values.get(place, {})


def usage_keys(blocks: Iterable[Any], aside_types: Sequence[str]) -> set[UsageKey]:
    """Return the usage keys of blocks and of their asides, in both forms of aside keys."""
    keys = {without_branch(block.scope_ids.usage_id) for block in blocks}
    forms: tuple[Any, ...] = (AsideUsageKeyV1, AsideUsageKeyV2)
    asides = {form(key, type_) for form in forms for key in keys for type_ in aside_types}
    return keys | asides


class UserStateCache(FieldCache):
    """Scope user_state: the learner's fields at each block; uses the user-state client."""

    def __init__(self, user: Any, course_id: LearningContextKey, client: Any = None) -> None:
        super().__init__()
        self.user = user
        self.course_id = course_id
        self._client = client

    def __len__(self) -> int:
        """Return the number of blocks with state."""
        return sum(map(bool, self._values.values()))

    @property
    def client(self) -> Any:
        if self._client is None:
            self._client = state_client(self.user)
        return self._client

    def place(self, key: FieldKey) -> Place:
        return without_branch(key.block_scope_id)

    def _places(self, blocks: Iterable[Any], aside_types: Sequence[str]) -> set[Place]:
        return set(usage_keys(blocks, aside_types))

    def _read(self, places: set[Place]) -> Iterator[Found]:
        for found in self.client.get_many(self.user.get_username(), list(places)):
            for field_name, value in found.state.items():
                yield found.block_key, field_name, value, found.updated

    def _write(self, groups: Mapping[Place, Mapping[str, Any]]) -> None:
        self.client.set_many(self.user.get_username(), groups)
        # The row's other fields have the row's time of change, too.
        self._forget_times(groups)

    def _erase(self, place: Place, field_name: str) -> None:
        self.client.delete(self.user.get_username(), place, fields=[field_name])
        self._forget_times([place])

    def _forget_times(self, places: Iterable[Place]) -> None:
        for place in places:
            for field_name in self._values.get(place, ()):
                self._modified.pop((place, field_name), None)

    def _ask_when(self, place: Place, field_name: str) -> datetime | None:
        """Read the row again, because the client does not return the time of its write."""
        for found in self.client.get_many(self.user.get_username(), [place], fields=[field_name]):
            self._modified[place, field_name] = found.updated
            return found.updated
        return None
