"""Public API of the package."""

from xqueue_bridge.stuck_answers.find import OLDER_THAN, Scan, can_find, find
from xqueue_bridge.stuck_answers.kinds import Kind, Outcome, Repaired, StuckAnswer
from xqueue_bridge.stuck_answers.repair import repair

__all__ = [
    "OLDER_THAN",
    "Kind",
    "Outcome",
    "Repaired",
    "Scan",
    "StuckAnswer",
    "can_find",
    "find",
    "repair",
]
