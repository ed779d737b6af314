"""Operations of an LMS on one learner's state at one block.

``reset_attempts`` lets a learner try again and keeps all other fields. ``delete_state`` deletes
state and score, and supersedes the submissions that wait for graders.
"""

from __future__ import annotations

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.learner_state import deletion as learner_state
from xqueue_bridge.learner_state.deletion import has_attempts, learner_ids_at, reset_attempts
from xqueue_bridge.submission_queue import api as submission_queue

__all__ = ["delete_state", "has_attempts", "has_state", "learner_ids_at", "reset_attempts"]


def delete_state(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Delete the learner's fields and score at the block, in one transaction.

    Open submissions are superseded; the result of a grader that holds a lease is
    acknowledged and becomes stale. The history is kept. Return whether the state was deleted
    or a submission superseded; after commit ``state_deleted`` is sent.
    """

    def work() -> bool:
        superseded = submission_queue.supersede_open(user_id, course_key, usage_key)
        emptied = learner_state.clear_state(user_id, course_key, usage_key)
        return emptied or superseded > 0

    return in_transaction(work)


def has_state(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Return whether the learner has a state or an open submission at the block."""
    return learner_state.has_state(user_id, course_key, usage_key) or bool(
        submission_queue.queue_positions(user_id, usage_key)
    )
