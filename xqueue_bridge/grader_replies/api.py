"""Door of the room: from foreign text to a score that we believe."""

from xqueue_bridge.grader_replies.apply import deliver, deliver_due, deliver_for, try_again
from xqueue_bridge.grader_replies.feedback import make_feedback
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.grader_replies.retirement import (
    purge_replies,
    replies_to_forget,
    scrub_replies,
    turn_away,
)
from xqueue_bridge.grader_replies.inbox import (
    FAILURE_NOTICE,
    is_answer,
    store_notice,
    store_reply,
    undelivered_by_queue,
)
from xqueue_bridge.grader_replies.locks import forget_turns

__all__ = [
    "FAILURE_NOTICE",
    "deliver",
    "deliver_due",
    "deliver_for",
    "forget_turns",
    "is_answer",
    "make_feedback",
    "parse_reply",
    "purge_replies",
    "replies_to_forget",
    "scrub_replies",
    "store_notice",
    "store_reply",
    "try_again",
    "turn_away",
    "undelivered_by_queue",
]
