"""Reset, delete and retire in a host's own user-state client, if USER_STATE_CLIENT names one.

Its states are not in StudentModule, whose rows then hold scores only. A client may use a network,
so these functions are called outside transactions. With the bridge's own client each of them does
nothing and executes no statement.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.db.batches import chunks
from xqueue_bridge.exceptions import RetirementUnfinished
from xqueue_bridge.learner_state.encoding import Fields
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.user_state import XBlockUserStateClient, state_client
from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient
from xqueue_bridge.lms.keys import with_run
from xqueue_bridge.lms.users import user_ids_of, username_of

#: Blocks or usernames in one call of the client.
CHUNK = 400

log = logging.getLogger(__name__)


def plugged_client() -> XBlockUserStateClient | None:
    """Return the host's own client; None if the bridge's client is in use."""
    client = state_client()
    return None if isinstance(client, DjangoXBlockUserStateClient) else client


def read_fields(
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    fields: Iterable[str] | None = None,
) -> Fields:
    """Return the learner's fields at the block in the client; {} if there are none."""
    client, username = _client_and_name(user_id)
    return {} if client is None else _read(client, username, course_key, usage_key, fields)


def reset_attempts(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Set the field ``attempts`` in the client to 0; return whether there were any."""
    client, username = _client_and_name(user_id)
    if client is None or not _read(client, username, course_key, usage_key).get("attempts"):
        return False
    client.set(username, with_run(usage_key, course_key), {"attempts": 0})
    return True


def clear_state(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Delete all of the learner's fields at the block; return whether there were any."""
    client, username = _client_and_name(user_id)
    if client is None or not _read(client, username, course_key, usage_key):
        return False
    client.delete(username, with_run(usage_key, course_key))
    return True


def learner_ids_at(course_key: LearningContextKey, usage_key: UsageKey) -> Iterator[int]:
    """Yield the id of every learner with state at the block in the client."""
    client = plugged_client()
    if client is None:
        return
    states = client.iter_all_for_block(with_run(usage_key, course_key))
    for names in chunks((state.username for state in states), CHUNK):
        yield from user_ids_of(names).values()


def retire_states(user_id: int) -> Iterator[Counter[str]]:
    """Retire the learner in the client; yield the number of states that were removed.

    Calls the client's ``retire_learner``. If it has none, deletes the states at the blocks where
    the learner has a row, and logs that others, and the history, remain. Raises
    ``RetirementUnfinished`` if the client fails.
    """
    client, username = _client_and_name(user_id)
    if client is None:
        return
    try:
        removed = _retire(client, username, user_id)
    except Exception as exc:  # the host's code; its message may name the learner
        raise RetirementUnfinished(
            f"USER_STATE_CLIENT failed for learner {user_id} ({type(exc).__name__}); "
            "run the retirement again"
        ) from exc
    yield Counter({"client states": removed})


def _read(
    client: XBlockUserStateClient,
    username: str,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    fields: Iterable[str] | None = None,
) -> Fields:
    block = with_run(usage_key, course_key)
    found = next(iter(client.get_many(username, [block], fields=fields)), None)
    return dict(found.state or {}) if found else {}


def _retire(client: XBlockUserStateClient, username: str, user_id: int) -> int:
    inherited = XBlockUserStateClient.retire_learner
    if getattr(type(client), "retire_learner", inherited) is not inherited:
        return client.retire_learner(username)
    rows: Any = StudentModule.objects.filter(student_id=user_id).order_by("pk")
    keys = rows.values_list("course_id", "module_state_key")
    blocks = [with_run(usage_key, course_key) for course_key, usage_key in keys]
    removed = 0
    for chunk in chunks(blocks, CHUNK):
        found = [state.block_key for state in client.get_many(username, chunk)]
        client.delete_many(username, found)
        removed += len(found)
    log.warning(
        "Learner %s: USER_STATE_CLIENT has no method retire_learner; states at blocks without a "
        "score, and the client's history, remain",
        user_id,
    )
    return removed


def _client_and_name(user_id: int) -> tuple[XBlockUserStateClient | None, str]:
    """Return the client and the learner's username; None if there is no client or account."""
    client = plugged_client()
    if client is None:
        return None, ""
    username = username_of(user_id)
    if username is None:
        log.warning("Learner %s has no account: USER_STATE_CLIENT was not called", user_id)
        return None, ""
    return client, username
