"""User-state client that stores states in StudentModule, in few statements for many blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.conf import options
from xqueue_bridge.db.batches import by_key, chunks
from xqueue_bridge.learner_state.block_keys import block_key_of, usage_key_from
from xqueue_bridge.learner_state.encoding import Fields, decode
from xqueue_bridge.learner_state.history import store
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.queries import rows_at, with_key_text
from xqueue_bridge.learner_state.row import MAX_TYPE, decode_or_warn, read_rows
from xqueue_bridge.learner_state.user_state import (
    USER_STATE,
    XBlockUserState,
    XBlockUserStateClient,
    require_user_state,
    user_state_scope,
)
from xqueue_bridge.learner_state.write import (
    UnknownLearner,
    drop_fields,
    merge_fields,
    update_rows,
)
from xqueue_bridge.lms.users import select_user_id, user_id_of, username_field

#: Blocks that one statement reads.
READ_CHUNK = 1000
#: The column's value for a deleted state; NULL if no state was ever stored.
_DELETED = "{}"


class DjangoXBlockUserStateClient(XBlockUserStateClient):
    """Store states in ``StudentModule``, with scores and history.

    ``user``: the user whose name needs no look-up. An anonymous learner (without a name) has no
    state: reads find nothing, writes do nothing. Reads with an unknown username find nothing;
    writes raise ``UnknownUser`` and store nothing.

    A write is all or nothing for each 400 blocks. If the database refuses it after several
    attempts, its own ``OperationalError`` is raised.
    """

    class ServiceUnavailable(XBlockUserStateClient.ServiceUnavailable):
        """The storage of the states cannot be reached."""

    class PermissionDenied(XBlockUserStateClient.PermissionDenied):
        """The caller has no permission for this."""

    class DoesNotExist(XBlockUserStateClient.DoesNotExist):
        """The learner has no state at the block."""

    class UnknownUser(DoesNotExist, UnknownLearner):
        """No user has this username."""

    def __init__(self, user: Any = None) -> None:
        self.user = user

    def get_many(
        self,
        username: str,
        block_keys: Iterable[UsageKey],
        scope: object = USER_STATE,
        fields: Iterable[str] | None = None,
    ) -> Iterator[XBlockUserState]:
        """Yield states in the requested order, each once; one statement for each 1000 blocks."""
        require_user_state(scope)
        wanted = _names(fields)
        keys = dict.fromkeys(map(block_key_of, block_keys))
        for chunk in chunks(keys, READ_CHUNK):
            rows = read_rows(self._whose(username), chunk, ("state", "modified"))
            found = {(context, usage): held for context, usage, *held in rows}
            for key in chunk:
                held = found.get((key.context, key.usage))
                if held and (state := decode_or_warn(held[0], key.usage)):
                    yield _tuple(username, key.usage_key, _only(state, wanted), held[1])

    def set_many(
        self,
        username: str,
        block_keys_to_state: Mapping[UsageKey, Mapping[str, object]],
        scope: object = USER_STATE,
    ) -> None:
        """Merge fields into states; five statements for each 400 blocks without BEGIN and COMMIT.

        A block with no new fields is not changed. Raises TypeError or ValueError, which name the
        field, for values that JSON cannot represent, and ``UnknownUser``.
        """
        require_user_state(scope)
        given = ((block_key_of(key), state) for key, state in block_keys_to_state.items())
        new = [(key, state) for key, state in given if state != {}]
        change = merge_fields(new)
        user_id = self._writer(username)
        if user_id is not None:
            keys = [key for key, _ in new]
            update_rows(user_id, keys, change, Reason.STATE, create=True, learner_is_known=True)

    def delete_many(
        self,
        username: str,
        block_keys: Iterable[UsageKey],
        scope: object = USER_STATE,
        fields: Iterable[str] | None = None,
    ) -> None:
        """Delete some or all fields; five statements for each 400 blocks. Skip absent states."""
        require_user_state(scope)
        keys = [block_key_of(key) for key in block_keys]
        user_id = self._writer(username)
        if user_id is not None:
            update_rows(user_id, keys, drop_fields(_names(fields)), Reason.DELETE)

    def get_history(
        self, username: str, block_key: UsageKey, scope: object = USER_STATE
    ) -> Iterator[XBlockUserState]:
        """Yield the state after each write, newest first; one statement for each history table.

        Includes writes of the score. Raises ``DoesNotExist`` if there is no entry.
        """
        require_user_state(scope)
        key = block_key_of(block_key)
        is_empty = True
        for entry in store.read(self._reader(username), block_key, key.course_key):
            is_empty = False
            yield _tuple(username, block_key, decode(entry.state) or None, entry.created)
        if is_empty:
            raise self.DoesNotExist(f"no history at {block_key}")

    def iter_all_for_block(
        self, block_key: UsageKey, scope: object = USER_STATE, batch_size: int | None = None
    ) -> Iterator[XBlockUserState]:
        """Yield every learner's state at a block; one statement for each ``batch_size`` rows."""
        require_user_state(scope)
        yield from _pages(rows_at(block_key_of(block_key)), batch_size)

    def iter_all_for_course(
        self,
        course_key: LearningContextKey,
        block_type: str | None = None,
        scope: object = USER_STATE,
        batch_size: int | None = None,
    ) -> Iterator[XBlockUserState]:
        """Yield every state in a course or library; one statement for each ``batch_size`` rows."""
        require_user_state(scope)
        rows = with_key_text().filter(course_id=course_key)
        if not block_type:
            yield from _pages(rows, batch_size)
            return
        # The column holds a prefix of the type, and may ignore case; the key has all of it.
        rows = rows.filter(module_type=block_type[:MAX_TYPE])
        for found in _pages(rows, batch_size):
            if found.block_key.block_type == block_type:
                yield found

    def _is_ours(self, username: str) -> bool:
        return self.user is not None and self.user.get_username() == username

    def _whose(self, username: str) -> Any:
        """Return the learner's id, or a subquery for it, which needs no separate statement."""
        return self.user.pk if self._is_ours(username) else select_user_id(username)[:1]

    def _reader(self, username: str) -> Any:
        """Return the learner's id, or a subquery for it if history is in the users' database."""
        if options().HISTORY_DATABASE and not self._is_ours(username):
            return user_id_of(username)
        return self._whose(username)

    def _writer(self, username: str) -> int | None:
        """Return the learner's id; None for an anonymous one."""
        if not username:
            return None
        user_id = self.user.pk if self._is_ours(username) else user_id_of(username)
        if user_id is None:
            raise self.UnknownUser(f"no user has the username {username!r}")
        return user_id


def _pages(rows: QuerySet[Any], batch_size: int | None) -> Iterator[XBlockUserState]:
    size = batch_size or options().USER_STATE_BATCH_SIZE
    name = f"student__{username_field()}"
    rows = rows.exclude(state=None).exclude(state=_DELETED)
    found = rows.values_list("pk", name, "context", "usage", "state", "modified")
    for page in by_key(found, size=size):
        for _, username, context, usage, state, modified in page:
            fields = decode_or_warn(state, usage)
            if fields:
                yield _tuple(username, usage_key_from(context, usage), fields, modified)


def _tuple(
    username: str, block_key: UsageKey, state: Fields | None, updated: datetime
) -> XBlockUserState:
    return XBlockUserState(username, block_key, state, updated, user_state_scope())


def _names(fields: Iterable[str] | None) -> frozenset[str] | None:
    return None if fields is None else frozenset(fields)


def _only(state: Fields, wanted: frozenset[str] | None) -> Fields:
    if wanted is None:
        return state
    return {name: value for name, value in state.items() if name in wanted}
