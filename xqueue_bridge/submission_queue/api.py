"""Public API of the package."""

from xqueue_bridge.submission_queue.accounts import (
    ROTATION_OVERLAP,
    clear_expired_sessions,
    create_grader,
    end_access,
    graders_of,
    issue_secret,
)
from xqueue_bridge.submission_queue.answer_status import (
    AnswerStatus,
    Stage,
    answers_of,
    newest_answers,
    statuses_of,
)
from xqueue_bridge.submission_queue.cleanup import purge_unpublished
from xqueue_bridge.submission_queue.event_counts import EventCounts, FinishedCount, count_events
from xqueue_bridge.submission_queue.external_results import receive_score
from xqueue_bridge.submission_queue.finish import fail_exhausted, requeue
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.legacy import purge_unmatched
from xqueue_bridge.submission_queue.operator_changes import (
    end_submissions,
    failed_submissions,
    is_used,
    move_submissions,
    release_leases,
    unheld_submissions,
)
from xqueue_bridge.submission_queue.paused_queues import pause_queue, paused_queues, resume_queue
from xqueue_bridge.submission_queue.pauses import resume
from xqueue_bridge.submission_queue.priorities import set_priority
from xqueue_bridge.submission_queue.prune import (
    Selection,
    archived_to_prune,
    prune_archive,
    prune_submissions,
    submissions_to_prune,
)
from xqueue_bridge.submission_queue.queue import enqueue, is_known_queue
from xqueue_bridge.submission_queue.rates import percentile, recent_rate
from xqueue_bridge.submission_queue.regrades import (
    MAX_OPEN,
    ended_without_reply,
    enqueue_regrade,
    has_newer_answer,
    original_key,
    regradable,
    supersede_regrade,
)
from xqueue_bridge.submission_queue.retirement import retire_submissions, submissions_to_retire
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.submission_queue.stats import (
    MAX_AHEAD,
    QueuePosition,
    QueueStats,
    has_open_submissions,
    queue_positions,
    queue_positions_in_course,
    queue_stats,
)
from xqueue_bridge.submission_queue.supersede import (
    supersede_open,
    supersede_replaced,
    supersede_reset,
)
from xqueue_bridge.submission_queue.waited_for import (
    WaitedFor,
    end_lost,
    end_unanswered,
    find_waited_for,
    offer_unanswered,
)

__all__ = [
    "MAX_AHEAD",
    "MAX_OPEN",
    "ROTATION_OVERLAP",
    "AnswerStatus",
    "EventCounts",
    "FinishedCount",
    "Grader",
    "QueuePosition",
    "QueueStats",
    "Selection",
    "Stage",
    "Status",
    "WaitedFor",
    "answers_of",
    "archived_to_prune",
    "clear_expired_sessions",
    "count_events",
    "create_grader",
    "end_access",
    "end_lost",
    "end_submissions",
    "end_unanswered",
    "ended_without_reply",
    "enqueue",
    "enqueue_regrade",
    "fail_exhausted",
    "failed_submissions",
    "find_waited_for",
    "graders_of",
    "has_newer_answer",
    "has_open_submissions",
    "is_known_queue",
    "is_used",
    "issue_secret",
    "move_submissions",
    "newest_answers",
    "offer_unanswered",
    "original_key",
    "pause_queue",
    "paused_queues",
    "percentile",
    "prune_archive",
    "prune_submissions",
    "purge_unmatched",
    "purge_unpublished",
    "queue_positions",
    "queue_positions_in_course",
    "queue_stats",
    "receive_score",
    "recent_rate",
    "regradable",
    "release_leases",
    "requeue",
    "resume",
    "resume_queue",
    "retire_submissions",
    "set_priority",
    "statuses_of",
    "submissions_to_prune",
    "submissions_to_retire",
    "supersede_open",
    "supersede_regrade",
    "supersede_replaced",
    "supersede_reset",
    "unheld_submissions",
]
