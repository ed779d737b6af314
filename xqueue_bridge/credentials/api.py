"""Public API of the package: send course grades to the Credentials service."""

from xqueue_bridge.credentials.enqueue import enqueue_missed, enqueue_updated
from xqueue_bridge.credentials.grade_filter import mode_and_status_are_interesting
from xqueue_bridge.credentials.outbox import MAX_ATTEMPTS, resend_rows
from xqueue_bridge.credentials.resend import resend
from xqueue_bridge.credentials.retirement import outbox_to_retire, retire_outbox
from xqueue_bridge.credentials.send import SendResult, send_due, send_enqueued, send_grade

__all__ = [
    "MAX_ATTEMPTS",
    "SendResult",
    "enqueue_missed",
    "enqueue_updated",
    "mode_and_status_are_interesting",
    "outbox_to_retire",
    "resend",
    "resend_rows",
    "retire_outbox",
    "send_due",
    "send_enqueued",
    "send_grade",
]
