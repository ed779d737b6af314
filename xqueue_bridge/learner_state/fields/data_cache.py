"""Cache of all fields that a page's blocks need for one learner, read in advance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.exceptions import XQueueBridgeError
from xqueue_bridge.learner_state.encoding import decode, encode
from xqueue_bridge.learner_state.fields.caches import Block, FieldCache, UserStateCache
from xqueue_bridge.learner_state.fields.key_value_store import (
    FieldKey,
    InvalidScopeError,
    KeyValueMultiSaveError,
)
from xqueue_bridge.learner_state.fields.orm_caches import (
    PreferencesCache,
    UserInfoCache,
    UserStateSummaryCache,
)
from xqueue_bridge.lms.keys import without_branch

if TYPE_CHECKING:
    from xqueue_bridge.learner_state.fields.caches import User

BlockFilter = Callable[[Block], bool]


class WrongLearner(XQueueBridgeError, AssertionError):
    """The field belongs to another learner than the one whose fields are cached."""


def every_block(block: Block) -> bool:
    """Accept every block; the default filter of descendants."""
    return True


def scores_or_children(block: Block) -> bool:
    """Accept the blocks that can be scored or have children, which suffice for grading."""
    return bool(getattr(block, "has_score", False) or getattr(block, "has_children", False))


class FieldDataCache:
    """The fields of one learner at many blocks, read by one statement for each scope in use.

    ``blocks`` are XBlocks, ``asides`` the types of their asides. With ``read_only`` writes and
    deletes are ignored. An anonymous learner has no fields, and what blocks save for them is not
    stored.
    """

    def __init__(
        self,
        blocks: Iterable[Block],
        course_id: LearningContextKey,
        user: User,
        asides: Sequence[str] | None = None,
        read_only: bool = False,
    ) -> None:
        if not isinstance(course_id, LearningContextKey):
            raise TypeError("course_id is not a LearningContextKey")
        self.course_id = course_id
        self.user = user
        self.asides = tuple(asides or ())
        self.read_only = read_only
        #: Maps the name of a scope to its cache.
        self.cache: dict[str, FieldCache[Any]] = {
            "user_state": UserStateCache(user),
            "user_info": UserInfoCache(user),
            "preferences": PreferencesCache(user),
            "user_state_summary": UserStateSummaryCache(),
        }
        #: The blocks at which the learner can have a score.
        self.scorable_locations: set[UsageKey] = set()
        self.add_blocks_to_cache(blocks)

    @classmethod
    def cache_for_block_descendents(
        cls,
        course_id: LearningContextKey,
        user: User,
        block: Block,
        depth: int | None = None,
        block_filter: BlockFilter = every_block,
        asides: Sequence[str] | None = None,
        read_only: bool = False,
    ) -> FieldDataCache:
        """Return a cache of the block and its descendants; see ``add_block_descendents``."""
        cache = cls([], course_id, user, asides=asides, read_only=read_only)
        cache.add_block_descendents(block, depth, block_filter)
        return cache

    def __len__(self) -> int:
        """Return the number of cached blocks with state plus that of fields of other scopes."""
        return sum(map(len, self.cache.values()))

    def add_block_descendents(
        self, block: Block, depth: int | None = None, block_filter: BlockFilter = every_block
    ) -> None:
        """Read the fields of a block and of ``depth`` levels below it; None: of all levels.

        A block that ``block_filter`` rejects is left out; its descendants are not.
        """
        self.add_blocks_to_cache(filter(block_filter, _family(block, depth)))

    def add_blocks_to_cache(self, blocks: Iterable[Block]) -> None:
        """Read the fields of blocks, for each scope in which at least one of them has fields."""
        blocks = list(blocks)
        self.scorable_locations |= {
            without_branch(block.scope_ids.usage_id)
            for block in blocks
            if getattr(block, "has_score", False)
        }
        in_use = {scope_name(field.scope) for block in blocks for field in block.fields.values()}
        for name, cache in self.cache.items():
            if not self._is_kept(cache):
                continue
            if name in in_use:
                cache.cache_fields(blocks, self.asides)
            else:
                cache.mark_loaded(blocks)

    def get(self, key: FieldKey) -> object:
        """Return the value of a field. Raises KeyError if it is not stored."""
        cache = self._cache_of(key)
        if not self._is_kept(cache):
            raise KeyError(key.field_name)
        return cache.get(key)

    def has(self, key: FieldKey) -> bool:
        """Return whether a value of the field is stored."""
        cache = self._cache_of(key)
        return self._is_kept(cache) and cache.has(key)

    def last_modified(self, key: FieldKey) -> datetime | None:
        """Return a time since which the field has not changed; None if it is not stored."""
        cache = self._cache_of(key)
        return cache.last_modified(key) if self._is_kept(cache) else None

    def set(self, key: FieldKey, value: object) -> None:
        """Store one field; see ``set_many``."""
        self.set_many({key: value})

    def set_many(self, kv_dict: Mapping[FieldKey, object]) -> None:
        """Store fields, one scope after another, and all fields of one scope together.

        (The state client splits a write only if it has hundreds of blocks.) Raises TypeError or
        ValueError, and stores nothing, if JSON cannot represent a value. Raises
        ``KeyValueMultiSaveError`` if a scope could not be stored: ``saved_field_names`` are the
        stored fields, and contain no name that an unsaved field has, too.
        """
        groups: dict[FieldCache[Any], dict[FieldKey, object]] = defaultdict(dict)
        for key, value in kv_dict.items():
            groups[self._cache_of(key)][key] = value
        if self.read_only:
            return
        as_stored = {
            cache: {key: _as_read(key.field_name, value) for key, value in fields.items()}
            for cache, fields in groups.items()
            if self._is_kept(cache)
        }
        saved: set[FieldKey] = set()
        for cache, fields in as_stored.items():
            try:
                cache.set_many(fields)
            except Exception as exc:
                wanted = {key for group in as_stored.values() for key in group}
                unsaved = {key.field_name for key in wanted - saved}
                names = {key.field_name for key in saved} - unsaved
                raise KeyValueMultiSaveError(sorted(names)) from exc
            saved |= fields.keys()

    def delete(self, key: FieldKey) -> None:
        """Delete a field. Raises KeyError if it is not stored, unless the cache is read-only."""
        cache = self._cache_of(key)
        if self.read_only:
            return
        if not self._is_kept(cache):
            raise KeyError(key.field_name)
        cache.delete(key)

    def _cache_of(self, key: FieldKey) -> FieldCache[Any]:
        """Return the cache of the key's scope; raise an error if the key is another learner's."""
        name = scope_name(key.scope)
        if name not in self.cache:
            raise InvalidScopeError(key.scope, sorted(self.cache))
        cache = self.cache[name]
        if cache.is_per_learner and not self.user.is_anonymous and key.user_id != self.user.pk:
            raise WrongLearner
        return cache

    def _is_kept(self, cache: FieldCache[Any]) -> bool:
        return not (cache.is_per_learner and self.user.is_anonymous)


def _as_read(field_name: str, value: object) -> object:
    """Return a value's JSON form: tuples as lists, capa's scores as objects."""
    return decode(encode({field_name: value}))[field_name]


def scope_name(scope: Any) -> str:
    """Return the name of a scope, which is an XBlock ``Scope`` or the name itself."""
    return getattr(scope, "name", scope)


def _family(block: Block, depth: int | None) -> Iterator[Block]:
    """Yield a block and its descendants, level by level, each once."""
    seen: set[UsageKey] = set()
    level = [block]
    while level:
        fresh = {member.scope_ids.usage_id: member for member in level}
        members = [member for key, member in fresh.items() if key not in seen]
        seen |= fresh.keys()
        yield from members
        if depth == 0:
            return
        depth = None if depth is None else depth - 1
        level = [child for member in members for child in _children(member)]


def _children(block: Block) -> Iterator[Block]:
    yield from block.get_children()
    # Blocks that are rendered together with this one without being its children.
    yield from getattr(block, "get_required_block_descriptors", tuple)()
