"""Door of the room: what the LMS remembers of a learner at a block."""

from xqueue_bridge.learner_state.crawlers import is_crawler
from xqueue_bridge.learner_state.deletion import (
    empty_module,
    has_attempts,
    has_state,
    learners_at,
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
from xqueue_bridge.learner_state.history.store import forget_row, history_batch
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.retirement import (
    begin_retirement,
    count_late_reply,
    end_retirement,
    forget_states,
    is_retired,
    states_to_forget,
    unfinished_retirements,
)
from xqueue_bridge.learner_state.scores.client import ScoresClient
from xqueue_bridge.learner_state.scores.ledger import (
    Settled,
    apply_score,
    count_repeat,
    publish_score,
    record_outcome,
)
from xqueue_bridge.learner_state.scores.max_scores_cache import MaxScoresCache
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.learner_state.scores.queries import learners_with_scores, read_course_scores
from xqueue_bridge.learner_state.student_module import (
    HistoryEntry,
    LockedModule,
    Score,
    history,
    locked_module,
    locked_or_new,
    read_score,
    read_state,
    save_fields,
    set_score,
)
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.learner_state.user_state import (
    XBlockUserState,
    XBlockUserStateClient,
    state_client,
    what_client_lacks,
)
from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient
from xqueue_bridge.lms.capa import waiting_answers, waiting_inputs, waiting_keys
from xqueue_bridge.learner_state.write import UnknownLearner, learner_exists

#: What became of a reply, as the score ledger says.
Outcome = ScoreLedger.Outcome

__all__ = [
    "DjangoKeyValueStore",
    "DjangoXBlockUserStateClient",
    "FieldDataCache",
    "HistoryEntry",
    "InvalidScopeError",
    "KeyValueMultiSaveError",
    "LockedModule",
    "MaxScoresCache",
    "Outcome",
    "Reason",
    "Score",
    "ScoresClient",
    "Settled",
    "UnknownLearner",
    "WrongLearner",
    "XBlockUserState",
    "XBlockUserStateClient",
    "apply_score",
    "begin_retirement",
    "count_late_reply",
    "count_repeat",
    "empty_module",
    "end_retirement",
    "forget_row",
    "forget_states",
    "has_attempts",
    "has_state",
    "history",
    "history_batch",
    "in_transaction",
    "is_crawler",
    "is_retired",
    "learner_exists",
    "learners_at",
    "learners_with_scores",
    "locked_module",
    "locked_or_new",
    "publish_score",
    "read_course_scores",
    "read_score",
    "read_state",
    "record_outcome",
    "reset_attempts",
    "save_fields",
    "scores_or_children",
    "set_score",
    "state_client",
    "states_to_forget",
    "unfinished_retirements",
    "waiting_answers",
    "waiting_inputs",
    "waiting_keys",
    "what_client_lacks",
]
