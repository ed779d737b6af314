"""Interface of a user-state client: its values, errors and methods, and the configured class.

Names and contract are those of XBlock's ``XBlockUserStateClient``. XBlock itself is not needed;
if it is installed, its ``Scope`` is accepted and returned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import NamedTuple

from django.utils.module_loading import import_string
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.conf import options
from xqueue_bridge.learner_state.encoding import Fields

#: The only scope that clients support; the same as XBlock's ``Scope.user_state``.
USER_STATE = "user_state"


class XBlockUserState(NamedTuple):
    """One learner's state at one block.

    ``state`` may be changed by the caller; None: it was deleted (in histories only).
    ``updated`` (aware): a time since which the fields have not changed.
    """

    username: str
    block_key: UsageKey
    state: Fields | None
    updated: datetime
    scope: object


class XBlockUserStateClient(ABC):
    """Read and write fields of scope user_state. ``USER_STATE_CLIENT`` names a subclass.

    Any other scope raises ValueError: in a generator when it is iterated, else at once.
    ``fields``: the requested names; None: all.
    """

    class ServiceUnavailable(Exception):
        """The storage of the states cannot be reached."""

    class PermissionDenied(Exception):
        """The caller has no permission for this."""

    class DoesNotExist(Exception):
        """The learner has no state at the block."""

    def get(
        self,
        username: str,
        block_key: UsageKey,
        scope: object = USER_STATE,
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
        state: Mapping[str, object],
        scope: object = USER_STATE,
    ) -> None:
        """Merge fields into the learner's state at a block: see ``set_many``."""
        self.set_many(username, {block_key: state}, scope)

    def delete(
        self,
        username: str,
        block_key: UsageKey,
        scope: object = USER_STATE,
        fields: Iterable[str] | None = None,
    ) -> None:
        """Delete fields of the learner's state at a block: see ``delete_many``."""
        self.delete_many(username, [block_key], scope, fields=fields)

    @abstractmethod
    def get_many(
        self,
        username: str,
        block_keys: Iterable[UsageKey],
        scope: object = USER_STATE,
        fields: Iterable[str] | None = None,
    ) -> Iterator[XBlockUserState]:
        """Yield the learner's states in the requested order, each once; skip blocks without state.

        A block that has state but none of the ``fields`` is yielded with ``{}``.
        """

    @abstractmethod
    def set_many(
        self,
        username: str,
        block_keys_to_state: Mapping[UsageKey, Mapping[str, object]],
        scope: object = USER_STATE,
    ) -> None:
        """Merge fields into the learner's states; keep fields that are not named."""

    @abstractmethod
    def delete_many(
        self,
        username: str,
        block_keys: Iterable[UsageKey],
        scope: object = USER_STATE,
        fields: Iterable[str] | None = None,
    ) -> None:
        """Delete fields of the learner's states. A block without remaining fields is absent."""

    @abstractmethod
    def get_history(
        self, username: str, block_key: UsageKey, scope: object = USER_STATE
    ) -> Iterator[XBlockUserState]:
        """Yield the learner's state at the block after each write, newest first.

        A state that was deleted is None. Raises ``DoesNotExist`` if nothing was ever stored.
        """

    def retire_learner(self, username: str) -> int:
        """Remove all that is stored about the learner, with the history; return how many states.

        Optional. ``xqueue_bridge_retire_learner`` calls it, again after a failure. A class that
        does not define it keeps the history, and states at blocks without a score.
        """
        raise NotImplementedError

    @abstractmethod
    def iter_all_for_block(
        self, block_key: UsageKey, scope: object = USER_STATE
    ) -> Iterator[XBlockUserState]:
        """Yield every learner's state at a block, in no particular order."""

    @abstractmethod
    def iter_all_for_course(
        self,
        course_key: LearningContextKey,
        block_type: str | None = None,
        scope: object = USER_STATE,
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


def missing_client_attributes(client: object) -> str:
    """Return the attributes that a class lacks to be a client; "" if it lacks none."""
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


def state_client(user: object = None) -> XBlockUserStateClient:
    """Return a new client of the class that ``USER_STATE_CLIENT`` names.

    ``user``, if given, is the learner whose state is mostly read: it saves a look-up of the name.
    """
    return import_string(options().USER_STATE_CLIENT)(user=user)


@cache
def user_state_scope() -> object:
    """Return XBlock's ``Scope.user_state``, or its name if XBlock is not installed."""
    try:
        return import_module("xblock.fields").Scope.user_state
    except ImportError:
        return USER_STATE


def require_user_state(scope: object) -> None:
    """Raise ValueError unless ``scope`` is user_state."""
    if scope != USER_STATE and scope != user_state_scope():
        raise ValueError(f"only the scope user_state is kept here, not {scope}")
