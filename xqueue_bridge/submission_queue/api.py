"""Public API of the package."""

from xqueue_bridge.submission_queue.accounts import (
    ROTATION_OVERLAP,
    clear_expired_sessions,
    create_grader,
    issue_secret,
)
from xqueue_bridge.submission_queue.cleanup import purge_unpublished
from xqueue_bridge.submission_queue.event_counts import EventCounts, FinishedCount, count_events
from xqueue_bridge.submission_queue.finish import (
    fail_exhausted,
    requeue,
    supersede_open,
    supersede_replaced,
)
from xqueue_bridge.submission_queue.legacy import purge_unmatched
from xqueue_bridge.submission_queue.pauses import resume
from xqueue_bridge.submission_queue.queue import enqueue
from xqueue_bridge.submission_queue.retirement import retire_submissions, submissions_to_retire
from xqueue_bridge.submission_queue.stats import (
    QueuePosition,
    QueueStats,
    has_open_submissions,
    queue_positions,
    queue_positions_in_course,
    queue_stats,
)

__all__ = [
    "ROTATION_OVERLAP",
    "EventCounts",
    "FinishedCount",
    "QueuePosition",
    "QueueStats",
    "clear_expired_sessions",
    "count_events",
    "create_grader",
    "enqueue",
    "fail_exhausted",
    "has_open_submissions",
    "issue_secret",
    "purge_unmatched",
    "purge_unpublished",
    "queue_positions",
    "queue_positions_in_course",
    "queue_stats",
    "requeue",
    "resume",
    "retire_submissions",
    "submissions_to_retire",
    "supersede_open",
    "supersede_replaced",
]
