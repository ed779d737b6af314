"""One cache for each scope: read by one statement, and true to what is stored.

A cache holds values as they would be read again, hands out copies, and changes only after a
write has succeeded.
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

#: What a scope groups fields by: a usage key, a block type, or None for the learner.
Place: TypeAlias = Hashable
#: place, field name, value, when it was last changed
Found: TypeAlias = tuple[Place, str, Any, datetime | None]


class FieldCache(ABC):
    """The fields of one scope that have been read so far."""

    #: Fields of this scope belong to one learner.
    is_per_learner: ClassVar[bool] = True

    def __init__(self) -> None:
        self._known: set[Place] = set()
        self._values: dict[Place, dict[str, Any]] = defaultdict(dict)
        self._modified: dict[tuple[Place, str], datetime | None] = {}

    def __len__(self) -> int:
        """Return how many fields are held."""
        return sum(map(len, self._values.values()))

    def cache_fields(self, blocks: Iterable[Any], aside_types: Sequence[str] = ()) -> None:
        """Read what is stored for the blocks and their asides, as far as it is not known yet."""
        self._load(self._places(blocks, aside_types))

    def mark_loaded(self, blocks: Iterable[Any]) -> None:
        """Remember that blocks have no fields of this scope, so that nobody asks for them."""
        self._known |= self._places(blocks, ())

    def get(self, key: FieldKey) -> Any:
        """Return a copy of the value. Raises KeyError if the field is not stored."""
        return copy.deepcopy(self._fields_at(self.place(key))[key.field_name])

    def has(self, key: FieldKey) -> bool:
        return key.field_name in self._fields_at(self.place(key))

    def last_modified(self, key: FieldKey) -> datetime | None:
        """Return since when the field has not changed; None if it is not stored."""
        place = self.place(key)
        if key.field_name not in self._fields_at(place):
            return None
        return self._modified.get((place, key.field_name)) or self._ask_when(place, key.field_name)

    def set_many(self, values: Mapping[FieldKey, Any]) -> None:
        """Store the values, which must be as JSON gives them back, all of them or none."""
        groups: dict[Place, dict[str, Any]] = defaultdict(dict)
        for key, value in values.items():
            groups[self.place(key)][key.field_name] = value
        modified = self._write(groups)
        # Where nothing has been read, what else is stored would look absent: read it when asked.
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
        """Return what the key's field is grouped by."""

    @abstractmethod
    def _places(self, blocks: Iterable[Any], aside_types: Sequence[str]) -> set[Place]: ...

    @abstractmethod
    def _read(self, places: set[Place]) -> Iterator[Found]:
        """Yield every stored field of the places."""

    @abstractmethod
    def _write(self, groups: Mapping[Place, Mapping[str, Any]]) -> datetime | None:
        """Store all or nothing; return the time that the rows now bear, None if unknown."""

    @abstractmethod
    def _erase(self, place: Place, field_name: str) -> None: ...

    def _ask_when(self, place: Place, field_name: str) -> datetime | None:
        """Return a time that neither reading nor writing has told."""
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
        """Return the fields of a place. One that nobody announced costs a statement, once.

        Without it a block that is shown by some other way would look as if it were new to the
        learner, and its next save would say so.
        """
        self._load([place])
        return self._values.get(place, {})


def usage_keys(blocks: Iterable[Any], aside_types: Sequence[str]) -> set[UsageKey]:
    """Return the usage keys of blocks and of their asides, in both forms that asides have."""
    keys = {without_branch(block.scope_ids.usage_id) for block in blocks}
    forms: tuple[Any, ...] = (AsideUsageKeyV1, AsideUsageKeyV2)
    asides = {form(key, type_) for form in forms for key in keys for type_ in aside_types}
    return keys | asides


class UserStateCache(FieldCache):
    """Scope user_state: what the learner has at each block; stands on the state client."""

    def __init__(self, user: Any, course_id: LearningContextKey, client: Any = None) -> None:
        super().__init__()
        self.user = user
        self.course_id = course_id
        self._client = client

    def __len__(self) -> int:
        """Return at how many blocks the learner has state."""
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
        # The row's other fields have their time from the row, too.
        self._forget_times(groups)

    def _erase(self, place: Place, field_name: str) -> None:
        self.client.delete(self.user.get_username(), place, fields=[field_name])
        self._forget_times([place])

    def _forget_times(self, places: Iterable[Place]) -> None:
        for place in places:
            for field_name in self._values.get(place, ()):
                self._modified.pop((place, field_name), None)

    def _ask_when(self, place: Place, field_name: str) -> datetime | None:
        """The client does not say at which time it wrote: ask for the row again."""
        for found in self.client.get_many(self.user.get_username(), [place], fields=[field_name]):
            self._modified[place, field_name] = found.updated
            return found.updated
        return None
