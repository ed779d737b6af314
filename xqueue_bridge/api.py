"""The public Python API: what a host's code may import, besides ``signals`` and ``exceptions``.

Everything else may change without notice. ``docs/references/python_api.rst`` describes each name.
Import it after Django's apps are ready; settings and runtimes that need the service earlier import
``XQueueService`` from ``xqueue_bridge``.
"""

from xqueue_bridge.course_grades.api import (
    CourseGrade,
    CourseGradeFactory,
    SubsectionOverride,
    override_history,
    read_gradebook,
    read_progress,
    remove_override,
    request_recalculation,
    set_override,
)
from xqueue_bridge.course_structure.api import course_structures
from xqueue_bridge.credentials.api import mode_and_status_are_interesting
from xqueue_bridge.data import ProblemDescription, RetirementMode
from xqueue_bridge.deletion import delete_state, reset_attempts
from xqueue_bridge.learner_state.crawlers import is_crawler
from xqueue_bridge.learner_state.fields.data_cache import FieldDataCache, scores_or_children
from xqueue_bridge.learner_state.fields.key_value_store import DjangoKeyValueStore
from xqueue_bridge.learner_state.history.batch import history_batch
from xqueue_bridge.learner_state.row import RawScore
from xqueue_bridge.learner_state.scores.client import ScoresClient
from xqueue_bridge.learner_state.scores.ledger import LedgerResult, apply_score, publish_score
from xqueue_bridge.learner_state.scores.max_scores_cache import MaxScoresCache
from xqueue_bridge.learner_state.student_module import (
    HistoryEntry,
    read_history,
    read_score,
    read_state,
    save_fields,
    set_score,
)
from xqueue_bridge.learner_state.user_state import (
    XBlockUserState,
    XBlockUserStateClient,
    state_client,
)
from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient
from xqueue_bridge.learner_state.write import UnknownLearner
from xqueue_bridge.retirement import retire_learner
from xqueue_bridge.submission_queue.api import (
    QueuePosition,
    QueueStats,
    queue_positions,
    queue_stats,
)
from xqueue_bridge.xqueue_service.api import (
    XQueueInterface,
    XQueueService,
    make_hashkey,
    make_xheader,
    parse_xreply,
    use_edx_submissions_for_xqueue,
)

__all__ = [
    "CourseGrade",
    "CourseGradeFactory",
    "DjangoKeyValueStore",
    "DjangoXBlockUserStateClient",
    "FieldDataCache",
    "HistoryEntry",
    "LedgerResult",
    "MaxScoresCache",
    "ProblemDescription",
    "QueuePosition",
    "QueueStats",
    "RawScore",
    "RetirementMode",
    "ScoresClient",
    "SubsectionOverride",
    "UnknownLearner",
    "XBlockUserState",
    "XBlockUserStateClient",
    "XQueueInterface",
    "XQueueService",
    "apply_score",
    "course_structures",
    "delete_state",
    "history_batch",
    "is_crawler",
    "make_hashkey",
    "make_xheader",
    "mode_and_status_are_interesting",
    "override_history",
    "parse_xreply",
    "publish_score",
    "queue_positions",
    "queue_stats",
    "read_gradebook",
    "read_history",
    "read_progress",
    "read_score",
    "read_state",
    "remove_override",
    "request_recalculation",
    "reset_attempts",
    "retire_learner",
    "save_fields",
    "scores_or_children",
    "set_override",
    "set_score",
    "state_client",
    "use_edx_submissions_for_xqueue",
]
