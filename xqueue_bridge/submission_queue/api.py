"""The door of this room."""

from xqueue_bridge.submission_queue.accounts import (

    ROTATION_OVERLAP,

    create_grader,

    forget_ended_sessions,

    issue_secret,

)
from xqueue_bridge.submission_queue.cleanup import purge_unpublished
from xqueue_bridge.submission_queue.queue import (
    enqueue,
    fail_exhausted,
    requeue,
    settle_superseded,
    withdraw,
)
from xqueue_bridge.submission_queue.stats import QueueReport, Standing, queue_reports, standings
from xqueue_bridge.submission_queue.retirement import forget_submissions, submissions_to_forget

__all__ = [
    "ROTATION_OVERLAP",
    "QueueReport",
    "Standing",
    "create_grader",
    "enqueue",
    "fail_exhausted",
    "forget_ended_sessions",
    "forget_submissions",
    "issue_secret",
    "purge_unpublished",
    "queue_reports",
    "requeue",
    "settle_superseded",
    "standings",
    "submissions_to_forget",
    "withdraw",
]
