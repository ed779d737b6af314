"""Door of the room: a course grade goes on to other services."""

from xqueue_bridge.credentials.enqueue import GradeToSend, find_missed, grade_changed
from xqueue_bridge.credentials.grade_filter import mode_and_status_are_interesting
from xqueue_bridge.credentials.outbox import MAX_TRIES, resend_rows
from xqueue_bridge.credentials.resend import resend
from xqueue_bridge.credentials.retirement import forget_outbox, outbox_to_forget
from xqueue_bridge.credentials.send import Outcome, Sent, send_due, send_grade

__all__ = [
    "MAX_TRIES",
    "GradeToSend",
    "Outcome",
    "Sent",
    "find_missed",
    "forget_outbox",
    "grade_changed",
    "mode_and_status_are_interesting",
    "outbox_to_forget",
    "resend",
    "resend_rows",
    "send_due",
    "send_grade",
]
