"""What a user-state client is: its answers, its errors, its methods, and which one is in use.

Names and contract are those of XBlock's ``XBlockUserStateClient``. XBlock itself is not needed;
where it is installed, its ``Scope`` is understood and handed back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from django.utils.module_loading import import_string
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.conf import options

#: The only scope that clients serve; the same as XBlock's ``Scope.user_state``.
USER_STATE = "user_state"


class XBlockUserState(NamedTuple):
    """What one learner has at one block.

    ``state`` is the caller's own to change; None: it was deleted (in histories only).
    ``updated`` (aware): since then the fields have not changed.
    """

    username: str
    block_key: UsageKey
    state: dict[str, Any] | None
    updated: datetime
    scope: Any


class XBlockUserStateClient(ABC):
    """Reads and writes fields of scope user_state. ``USER_STATE_CLIENT`` names a subclass.

    Any other scope raises ValueError: from a generator when it is iterated, else at once.
    ``fields``: the names that are wanted; None: all.
    """

    class ServiceUnavailable(Exception):
        """What keeps the states cannot be reached."""

    class PermissionDenied(Exception):
        """The caller may not do this."""

    class DoesNotExist(Exception):
        """The learner has no state at the block."""

    def get(
        self,
        username: str,
        block_key: UsageKey,
        scope: Any = USER_STATE,
        fields: Iterable[str] | None = None,
    ) -> XBlockUserState:
        """Return the learner's state at a block. Raises ``DoesNotExist`` if there is none."""
        for found in self.get_many(username, [block_key], scope, fields=fields):
            return found
        raise self.DoesNotExist(f"no state at {block_key}")

    def set(
        self,
        username: str,
        block_key: UsageKey,
        state: Mapping[str, Any],
        scope: Any = USER_STATE,
    ) -> None:
        """Lay fields over the learner's state at a block: see ``set_many``."""
        self.set_many(username, {block_key: state}, scope)

    def delete(
        self,
        username: str,
        block_key: UsageKey,
        scope: Any = USER_STATE,
        fields: Iterable[str] | None = None,
    ) -> None:
        """Delete fields of the learner's state at a block: see ``delete_many``."""
        self.delete_many(username, [block_key], scope, fields=fields)

    @abstractmethod
    def get_many(
        self,
        username: str,
        block_keys: Iterable[UsageKey],
        scope: Any = USER_STATE,
        fields: Iterable[str] | None = None,
    ) -> Iterator[XBlockUserState]:
        """Yield the learner's states, in the order asked, each once; blocks without are left out.

        A block that has state but none of the ``fields`` is yielded with ``{}``.
        """

    @abstractmethod
    def set_many(
        self,
        username: str,
        block_keys_to_state: Mapping[UsageKey, Mapping[str, Any]],
        scope: Any = USER_STATE,
    ) -> None:
        """Lay fields over the learner's states. Fields that are not named stay."""

    @abstractmethod
    def delete_many(
        self,
        username: str,
        block_keys: Iterable[UsageKey],
        scope: Any = USER_STATE,
        fields: Iterable[str] | None = None,
    ) -> None:
        """Delete fields of the learner's states. A block without fields left is absent."""

    @abstractmethod
    def get_history(
        self, username: str, block_key: UsageKey, scope: Any = USER_STATE
    ) -> Iterator[XBlockUserState]:
        """Yield what the learner had at the block after each write, newest first.

        A state that was deleted is None. Raises ``DoesNotExist`` if nothing was ever stored.
        """

    @abstractmethod
    def iter_all_for_block(
        self, block_key: UsageKey, scope: Any = USER_STATE
    ) -> Iterator[XBlockUserState]:
        """Yield every learner's state at a block, in no particular order."""

    @abstractmethod
    def iter_all_for_course(
        self,
        course_key: LearningContextKey,
        block_type: str | None = None,
        scope: Any = USER_STATE,
    ) -> Iterator[XBlockUserState]:
        """Yield every learner's states in a course or library, in no particular order."""


_METHODS = (
    "get",
    "set",
    "delete",
    "get_many",
    "set_many",
    "delete_many",
    "get_history",
    "iter_all_for_block",
    "iter_all_for_course",
)
_ERRORS = ("ServiceUnavailable", "PermissionDenied", "DoesNotExist")


def missing_client_attributes(client: Any) -> str:
    """Return what a class lacks to be a client: names, or "" if it lacks nothing."""
    if not isinstance(client, type):
        return "a class: it is not one"
    unfinished: frozenset[str] = getattr(client, "__abstractmethods__", frozenset())
    missing = [
        name for name in _METHODS if not callable(getattr(client, name, None)) or name in unfinished
    ]
    for name in _ERRORS:
        error = getattr(client, name, None)
        if not (isinstance(error, type) and issubclass(error, Exception)):
            missing.append(name)
    return ", ".join(missing)


def state_client(user: Any = None) -> Any:
    """Return a new client of the class that ``USER_STATE_CLIENT`` names.

    ``user``, if given, is whose state will mostly be asked for: it saves looking the name up.
    """
    return import_string(options().USER_STATE_CLIENT)(user=user)


@cache
def user_state_scope() -> Any:
    """Return XBlock's ``Scope.user_state``, or its name where XBlock is not installed."""
    try:
        return import_module("xblock.fields").Scope.user_state
    except ImportError:
        return USER_STATE


def require_user_state(scope: Any) -> None:
    """Raise ValueError unless ``scope`` is user_state."""
    if scope != USER_STATE and scope != user_state_scope():
        raise ValueError(f"only the scope user_state is kept here, not {scope}")
