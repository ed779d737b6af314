"""Operations of an LMS on one learner's state at one block.

``reset_attempts`` lets a learner try again and keeps all other fields. ``delete_state`` deletes
state and score, and supersedes the submissions that wait for graders. States in a host's own
user-state client are included.
"""

from __future__ import annotations

from collections.abc import Iterator

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.learner_state import deletion as learner_state
from xqueue_bridge.learner_state import plugged_client
from xqueue_bridge.submission_queue import api as submission_queue

__all__ = ["delete_state", "has_attempts", "has_state", "learner_ids_at", "reset_attempts"]


def reset_attempts(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Set the learner's attempts at the block to 0; keep answers, feedback and score.

    Returns whether there were any attempts. The history entry's reason is "reset". Raises the
    database's own error if retries fail.
    """
    in_client = plugged_client.reset_attempts(user_id, course_key, usage_key)
    return learner_state.reset_attempts(user_id, course_key, usage_key) or in_client


def delete_state(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Delete the learner's fields and score at the block, in one transaction.

    Open submissions are superseded; the result of a grader that holds a lease is
    acknowledged and becomes stale. The history is kept. Return whether the state was deleted
    or a submission superseded; after commit ``state_deleted`` is sent.
    """
    # First, and outside the transaction: if it fails, or the process is killed, nothing waits for
    # a superseded submission, and the operation can be repeated.
    in_client = plugged_client.clear_state(user_id, course_key, usage_key)

    def work() -> bool:
        superseded = submission_queue.supersede_open(user_id, course_key, usage_key)
        emptied = learner_state.clear_state(
            user_id, course_key, usage_key, is_cleared_in_client=in_client
        )
        return emptied or superseded > 0

    return in_transaction(work)


def has_attempts(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Return whether ``reset_attempts`` would change anything."""
    if learner_state.has_attempts(user_id, course_key, usage_key):
        return True
    in_client = plugged_client.read_fields(user_id, course_key, usage_key, ["attempts"])
    return bool(in_client.get("attempts"))


def has_state(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Return whether the learner has a state or an open submission at the block."""
    return (
        learner_state.has_state(user_id, course_key, usage_key)
        or bool(plugged_client.read_fields(user_id, course_key, usage_key))
        or submission_queue.has_open_submissions(user_id, usage_key)
    )


def learner_ids_at(course_key: LearningContextKey, usage_key: UsageKey) -> Iterator[int]:
    """Yield the id of every learner who has a row, or state in the client, at the block; once."""
    seen = set()
    for source in (learner_state.learner_ids_at, plugged_client.learner_ids_at):
        for user_id in source(course_key, usage_key):
            if user_id not in seen:
                seen.add(user_id)
                yield user_id
