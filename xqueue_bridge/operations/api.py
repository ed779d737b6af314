"""Public API of the package: what operators and course staff do, and the record of it."""

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
from xqueue_bridge.operations.course_team import (
    REGRADE_CHANGES,
    begin_repair,
    change_regrade,
    repair,
    start_regrade,
)
from xqueue_bridge.operations.graders import (
    change_grants,
    create_grader,
    queues_of,
    record_account,
    record_creation,
    record_deletion,
    record_grants,
    revoke_grader,
    rotate_secret,
)
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.operations.priorities import record_priority, set_priority
from xqueue_bridge.operations.retirement import actions_to_retire, retire_actions
from xqueue_bridge.operations.transports import record_transport

__all__ = [
    "MAX_IDS",
    "REGRADE_CHANGES",
    "OperatorAction",
    "Order",
    "actions_to_retire",
    "begin",
    "begin_repair",
    "carry_out",
    "change_grants",
    "change_regrade",
    "continue_actions",
    "create_grader",
    "delete_old_actions",
    "preview",
    "queues_of",
    "record",
    "record_account",
    "record_creation",
    "record_deletion",
    "record_grants",
    "record_priority",
    "record_transport",
    "repair",
    "retire_actions",
    "revoke_grader",
    "rotate_secret",
    "set_priority",
    "start_regrade",
]
