"""The KeyValueStore of an XBlock runtime, which uses a FieldDataCache.

XBlock is not needed to import this module. If it is installed, its exception classes are used,
so that blocks and runtimes catch them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, Protocol


class _InvalidScopeError(Exception):
    def __init__(self, invalid_scope: object, valid_scopes: Iterable[object] | None = None) -> None:
        self.message = f"Invalid scope: {invalid_scope}"
        if valid_scopes:
            self.message += f". Valid scopes are: {valid_scopes}"
        super().__init__(self.message)


class _KeyValueMultiSaveError(Exception):
    def __init__(self, saved_field_names: Iterable[str]) -> None:
        super().__init__()
        self.saved_field_names = saved_field_names


def _xblocks_own(name: str, ours: type[Exception]) -> type[Exception]:
    try:
        return getattr(import_module("xblock.exceptions"), name)
    except ImportError:
        return ours


#: Raised for a field of a scope that the store does not keep.
InvalidScopeError: Any = _xblocks_own("InvalidScopeError", _InvalidScopeError)

#: Raised if not all fields were saved; ``saved_field_names`` are those that were.
KeyValueMultiSaveError: Any = _xblocks_own("KeyValueMultiSaveError", _KeyValueMultiSaveError)


class FieldKey(NamedTuple):
    """One field; equal to XBlock's ``KeyValueStore.Key`` and interchangeable with it."""

    scope: object
    user_id: int | None
    block_scope_id: object
    field_name: str
    block_family: str = "xblock.v1"


class Fields(Protocol):
    """The interface that the store uses; ``FieldDataCache`` implements it."""

    def get(self, key: FieldKey) -> object: ...

    def has(self, key: FieldKey) -> bool: ...

    def set_many(self, kv_dict: Mapping[FieldKey, object]) -> None: ...

    def delete(self, key: FieldKey) -> None: ...


class DjangoKeyValueStore:
    """The fields of the scopes user_state, user_state_summary, preferences and user_info.

    Any other scope raises ``InvalidScopeError``; reading or deleting a field that is not stored
    raises ``KeyError``; a failed write raises ``KeyValueMultiSaveError``.
    """

    Key = FieldKey

    def __init__(self, field_data_cache: Fields) -> None:
        self._fields = field_data_cache

    def get(self, key: FieldKey) -> object:
        """Return a copy of the field's value, which the caller may change."""
        return self._fields.get(key)

    def set(self, key: FieldKey, value: object) -> None:
        """Store the value of one field."""
        self._fields.set_many({key: value})

    def set_many(self, update_dict: Mapping[FieldKey, object]) -> None:
        """Store the values of several fields."""
        self._fields.set_many(update_dict)

    def delete(self, key: FieldKey) -> None:
        """Delete the field, so that it has its default again."""
        self._fields.delete(key)

    def has(self, key: FieldKey) -> bool:
        """Return whether a value is stored; a default value is not."""
        return self._fields.has(key)

    def default(self, key: FieldKey) -> object:
        """Raise ``KeyError``, so that XBlock uses the field's own default."""
        raise KeyError(key.field_name)
