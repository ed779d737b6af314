"""Public API of the package: what operators do with queues and graders, and the record of it."""

from xqueue_bridge.operations.actions import (
    MAX_IDS,
    Order,
    begin,
    carry_out,
    continue_actions,
    delete_old_actions,
    preview,
    record,
)
from xqueue_bridge.operations.graders import revoke_grader, rotate_secret
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.operations.priorities import record_priority, set_priority
from xqueue_bridge.operations.retirement import actions_to_retire, retire_actions

__all__ = [
    "MAX_IDS",
    "OperatorAction",
    "Order",
    "actions_to_retire",
    "begin",
    "carry_out",
    "continue_actions",
    "delete_old_actions",
    "preview",
    "record",
    "record_priority",
    "retire_actions",
    "revoke_grader",
    "rotate_secret",
    "set_priority",
]
