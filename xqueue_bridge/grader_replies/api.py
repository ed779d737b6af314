"""Public API of the package."""

from xqueue_bridge.grader_replies.apply import (
    apply_due,
    apply_replies,
    apply_reply,
    apply_waiting,
    dead_replies,
    retry_dead,
)
from xqueue_bridge.grader_replies.archive import (
    archivable,
    characters,
    count_replies,
    has_open_reply,
    without_text,
)
from xqueue_bridge.grader_replies.backends.base import (
    OnApplied,
    RegradeBackend,
    get_reply_backend,
    reads_state,
)
from xqueue_bridge.grader_replies.external_grade import external_grade
from xqueue_bridge.grader_replies.inbox import (
    ENDED_MESSAGE,
    FAILURE_MESSAGE,
    accept_late_replies,
    cancel_failure_replies,
    delete_replies,
    has_valid_reply,
    pending_by_queue,
    record_if_duplicate,
    store_ended_reply,
    store_failure_reply,
    store_late_reply,
    store_reply,
    submissions_with_replies,
)
from xqueue_bridge.grader_replies.locks import retire_locks
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.grader_replies.queries import (
    Outcome,
    graded_submissions,
    last_error_of,
    outcomes_of,
    pending_replies_to,
    replies_about,
    valid_replies_to,
)
from xqueue_bridge.grader_replies.reopen import reopen
from xqueue_bridge.grader_replies.retirement import (
    discard_late_reply,
    purge_replies,
    replies_to_retire,
    scrub_replies,
)
from xqueue_bridge.grader_replies.waiting_again import end_waiting, wait_again, wait_for_other

__all__ = [
    "ENDED_MESSAGE",
    "FAILURE_MESSAGE",
    "OnApplied",
    "Outcome",
    "RegradeBackend",
    "accept_late_replies",
    "apply_due",
    "apply_replies",
    "apply_reply",
    "apply_waiting",
    "archivable",
    "cancel_failure_replies",
    "characters",
    "count_replies",
    "dead_replies",
    "delete_replies",
    "discard_late_reply",
    "end_waiting",
    "external_grade",
    "get_reply_backend",
    "graded_submissions",
    "has_open_reply",
    "has_valid_reply",
    "last_error_of",
    "outcomes_of",
    "parse_reply",
    "pending_by_queue",
    "pending_replies_to",
    "purge_replies",
    "reads_state",
    "record_if_duplicate",
    "reopen",
    "replies_about",
    "replies_to_retire",
    "retire_locks",
    "retry_dead",
    "scrub_replies",
    "store_ended_reply",
    "store_failure_reply",
    "store_late_reply",
    "store_reply",
    "submissions_with_replies",
    "valid_replies_to",
    "wait_again",
    "wait_for_other",
    "without_text",
]
