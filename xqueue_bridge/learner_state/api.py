"""What other packages use of learners' state, scores and history at blocks.

What hosts use is in ``xqueue_bridge.api``.
"""

from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.lookup import find_learner_at
from xqueue_bridge.learner_state.queries import (
    is_retired,
    learners_with_scores,
    read_course_scores,
)
from xqueue_bridge.learner_state.retirement import (
    begin_retirement,
    count_late_reply,
    end_retirement,
    retire_states,
    states_to_retire,
    unfinished_retirements,
)
from xqueue_bridge.learner_state.row import RawScore, StudentModuleRow, lock_rows, row_key
from xqueue_bridge.learner_state.scores.ledger import (
    delete_outcomes,
    publish_score,
    record_duplicate,
    record_outcomes,
)
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.learner_state.student_module import lock_row, read_history
from xqueue_bridge.learner_state.waiting import WaitingAnswer, waiting_answers, waiting_page
from xqueue_bridge.learner_state.write import UnknownLearner, save_rows

#: The outcome of a reply, as the score ledger stores it.
Outcome = ScoreLedger.Outcome

__all__ = [
    "Outcome",
    "RawScore",
    "Reason",
    "ScoreLedger",
    "StudentModuleRow",
    "UnknownLearner",
    "WaitingAnswer",
    "begin_retirement",
    "count_late_reply",
    "delete_outcomes",
    "end_retirement",
    "find_learner_at",
    "is_retired",
    "learners_with_scores",
    "lock_row",
    "lock_rows",
    "publish_score",
    "read_course_scores",
    "read_history",
    "record_duplicate",
    "record_outcomes",
    "retire_states",
    "row_key",
    "save_rows",
    "states_to_retire",
    "unfinished_retirements",
    "waiting_answers",
    "waiting_page",
]
