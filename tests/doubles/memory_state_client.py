"""A user-state client of a host, on a dict, for the setting USER_STATE_CLIENT."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from datetime import UTC, datetime

from xqueue_bridge.learner_state.user_state import (
    XBlockUserState,
    XBlockUserStateClient,
    require_user_state,
    user_state_scope,
)

#: (username, usage key) -> the fields after each write, as JSON text, with its time.
STORE: dict[tuple, list[tuple[str, datetime]]] = defaultdict(list)
_LOCK = threading.RLock()


class MemoryUserStateClient(XBlockUserStateClient):
    def __init__(self, user=None):
        self.user = user

    def get_many(self, username, block_keys, scope="user_state", fields=None):
        require_user_state(scope)
        for key in dict.fromkeys(block_keys):
            if found := self._newest(username, key):
                state, updated = found
                wanted = state.keys() if fields is None else fields
                chosen = {name: state[name] for name in wanted if name in state}
                yield XBlockUserState(username, key, chosen, updated, user_state_scope())

    def set_many(self, username, block_keys_to_state, scope="user_state"):
        require_user_state(scope)
        texts = {
            key: json.dumps(fields, allow_nan=False) for key, fields in block_keys_to_state.items()
        }
        with _LOCK:
            for key, text in texts.items():
                old = self._newest(username, key)
                if text != "{}":
                    self._append(username, key, (old[0] if old else {}) | json.loads(text))

    def delete_many(self, username, block_keys, scope="user_state", fields=None):
        require_user_state(scope)
        with _LOCK:
            for key in block_keys:
                if found := self._newest(username, key):
                    dropped = found[0].keys() if fields is None else fields
                    kept = {n: value for n, value in found[0].items() if n not in dropped}
                    if kept != found[0]:
                        self._append(username, key, kept)

    def get_history(self, username, block_key, scope="user_state"):
        require_user_state(scope)
        entries = STORE[username, block_key]
        if not entries:
            raise self.DoesNotExist
        for text, updated in reversed(entries):
            state = json.loads(text) or None
            yield XBlockUserState(username, block_key, state, updated, user_state_scope())

    def iter_all_for_block(self, block_key, scope="user_state"):
        require_user_state(scope)
        for username, key in list(STORE):
            if key == block_key:
                yield from self.get_many(username, [key])

    def iter_all_for_course(self, course_key, block_type=None, scope="user_state"):
        require_user_state(scope)
        for username, key in list(STORE):
            if key.context_key == course_key and block_type in (None, key.block_type):
                yield from self.get_many(username, [key])

    def _newest(self, username, key):
        """Return the newest fields and their time, or None."""
        text, updated = (STORE[username, key] or [("{}", None)])[-1]
        return (json.loads(text), updated) if text != "{}" else None

    def _append(self, username, key, state):
        STORE[username, key].append((json.dumps(state), datetime.now(UTC)))
