"""Retirement of a learner's data, called by an LMS's retirement pipeline.

The tombstone is written first, so that no later reply or score creates new data. Then submissions
are retired with their files and replies, so that graders no longer receive them. States, history
and fields follow, then grades and the GradeOutbox rows.
Each step is one batch in one transaction; calling it again completes an interrupted retirement.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.credentials import api as credentials
from xqueue_bridge.data import RetirementMode
from xqueue_bridge.exceptions import RetirementUnfinished
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.learner_state import plugged_client
from xqueue_bridge.lms.users import user_exists
from xqueue_bridge.log_fields import LogFields
from xqueue_bridge.operations import api as operations
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.submission_queue import api as submission_queue

__all__ = [
    "RetirementMode",
    "retire_learner",
    "retirement_batches",
    "retirement_plan",
    "unfinished_retirements",
]

unfinished_retirements = learner_state.unfinished_retirements

log = logging.getLogger(__name__)

_PARTS = (
    regrading.retire_items,
    submission_queue.retire_submissions,
    # Before the states, because it finds blocks by the rows that a purge deletes.
    lambda user_id, mode: plugged_client.retire_states(user_id),
    learner_state.retire_states,
    course_grades.retire_grades,
    credentials.retire_outbox,
    operations.retire_actions,
)
_PLANS = (
    regrading.items_to_retire,
    submission_queue.submissions_to_retire,
    learner_state.states_to_retire,
    course_grades.grades_to_retire,
    credentials.outbox_to_retire,
    operations.actions_to_retire,
)


def retire_learner(user_id: int, mode: RetirementMode | str = RetirementMode.SCRUB) -> Counter[str]:
    """Retire a learner: "scrub" empties texts and deletes files, "purge" deletes every row too.

    Return the number of states, history entries, fields, submissions, files, replies and grades
    that were changed; a second call finds none. Raise UnknownLearner if no user has this id and
    no data is stored for it, ValueError for an invalid mode, and RetirementUnfinished if the
    storage failed to delete a file, or the host's own user-state client failed.
    """
    return sum(retirement_batches(user_id, mode), Counter())


def retirement_batches(user_id: int, mode: RetirementMode | str) -> Iterator[Counter[str]]:
    """Retire a learner as ``retire_learner`` does; yield the counts of each batch."""
    mode = RetirementMode(mode)
    if not _is_known(user_id):
        raise learner_state.UnknownLearner
    learner_state.begin_retirement(user_id, mode)
    done: Counter[str] = Counter()
    for retire in _PARTS:
        for batch in retire(user_id, mode):
            done += batch
            yield batch
    log.info("Learner %s, %s: %s", user_id, mode, dict(done), extra=LogFields(user_id=user_id))
    if left := done["files left"]:
        raise RetirementUnfinished(
            f"{left} files of learner {user_id} could not be removed from storage; "
            "run the retirement again"
        )
    learner_state.end_retirement(user_id)


def retirement_plan(user_id: int, mode: RetirementMode | str) -> Counter[str]:
    """Return what ``retire_learner`` would change, without a change. Raise UnknownLearner."""
    mode = RetirementMode(mode)
    if not _is_known(user_id):
        raise learner_state.UnknownLearner
    return _plan(user_id, mode)


def _plan(user_id: int, mode: RetirementMode) -> Counter[str]:
    return sum((count(user_id, mode) for count in _PLANS), Counter())


def _is_known(user_id: int) -> bool:
    """Return whether the id is or was in use; an unused id may later belong to a new learner."""
    return (
        user_exists(user_id)
        or learner_state.is_retired(user_id)
        or bool(_plan(user_id, RetirementMode.PURGE))
    )
