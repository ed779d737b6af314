"""Public API of the package: learners' state, scores and history at blocks."""

from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.learner_state.crawlers import is_crawler
from xqueue_bridge.learner_state.deletion import (
    clear_state,
    has_attempts,
    has_state,
    learner_ids_at,
    reset_attempts,
)
from xqueue_bridge.learner_state.fields.data_cache import (
    FieldDataCache,
    WrongLearner,
    scores_or_children,
)
from xqueue_bridge.learner_state.fields.key_value_store import (
    DjangoKeyValueStore,
    InvalidScopeError,
    KeyValueMultiSaveError,
)
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.history.store import delete_history_of, history_batch
from xqueue_bridge.learner_state.lookup import LearnerAtBlock, find_learner_at
from xqueue_bridge.learner_state.retirement import (
    begin_retirement,
    count_late_reply,
    end_retirement,
    is_retired,
    retire_states,
    states_to_retire,
    unfinished_retirements,
)
from xqueue_bridge.learner_state.row import RawScore, RowKey, StudentModuleRow
from xqueue_bridge.learner_state.scores.client import ScoresClient
from xqueue_bridge.learner_state.scores.ledger import (
    LedgerEntry,
    LedgerResult,
    apply_score,
    delete_outcomes,
    publish_score,
    record_duplicate,
    record_outcomes,
)
from xqueue_bridge.learner_state.scores.max_scores_cache import MaxScoresCache
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.learner_state.scores.queries import learners_with_scores, read_course_scores
from xqueue_bridge.learner_state.student_module import (
    HistoryEntry,
    history,
    lock_row,
    read_score,
    read_state,
    row_key,
    save_fields,
    set_score,
)
from xqueue_bridge.learner_state.user_state import (
    XBlockUserState,
    XBlockUserStateClient,
    missing_client_attributes,
    state_client,
)
from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient
from xqueue_bridge.learner_state.write import UnknownLearner, lock_rows, save_rows
from xqueue_bridge.lms.capa import waiting_answers, waiting_inputs, waiting_keys

#: The outcome of a reply, as the score ledger stores it.
Outcome = ScoreLedger.Outcome

__all__ = [
    "DjangoKeyValueStore",
    "DjangoXBlockUserStateClient",
    "FieldDataCache",
    "HistoryEntry",
    "InvalidScopeError",
    "KeyValueMultiSaveError",
    "LearnerAtBlock",
    "LedgerEntry",
    "LedgerResult",
    "MaxScoresCache",
    "Outcome",
    "RawScore",
    "Reason",
    "RowKey",
    "ScoresClient",
    "StudentModuleRow",
    "UnknownLearner",
    "WrongLearner",
    "XBlockUserState",
    "XBlockUserStateClient",
    "apply_score",
    "begin_retirement",
    "clear_state",
    "count_late_reply",
    "delete_history_of",
    "delete_outcomes",
    "end_retirement",
    "find_learner_at",
    "has_attempts",
    "has_state",
    "history",
    "history_batch",
    "in_transaction",
    "is_crawler",
    "is_retired",
    "learner_ids_at",
    "learners_with_scores",
    "lock_row",
    "lock_rows",
    "missing_client_attributes",
    "publish_score",
    "read_course_scores",
    "read_score",
    "read_state",
    "record_duplicate",
    "record_outcomes",
    "reset_attempts",
    "retire_states",
    "row_key",
    "save_fields",
    "save_rows",
    "scores_or_children",
    "set_score",
    "state_client",
    "states_to_retire",
    "unfinished_retirements",
    "waiting_answers",
    "waiting_inputs",
    "waiting_keys",
]
