"""Public API of the package."""

from xqueue_bridge.regrading.items import open_keys
from xqueue_bridge.regrading.jobs import (
    MAX_PER_MINUTE,
    RegradeOptions,
    RegradeProgress,
    can_regrade,
    cancel,
    pause,
    progress,
    regrades_of,
    resume,
    start,
)
from xqueue_bridge.regrading.models import Regrade, RegradeItem
from xqueue_bridge.regrading.preview import Preview, preview
from xqueue_bridge.regrading.release import end_finished, release_due
from xqueue_bridge.regrading.retirement import items_to_retire, retire_items
from xqueue_bridge.regrading.selection import Selection

__all__ = [
    "MAX_PER_MINUTE",
    "Preview",
    "Regrade",
    "RegradeItem",
    "RegradeOptions",
    "RegradeProgress",
    "Selection",
    "can_regrade",
    "cancel",
    "end_finished",
    "items_to_retire",
    "open_keys",
    "pause",
    "preview",
    "progress",
    "regrades_of",
    "release_due",
    "resume",
    "retire_items",
    "start",
]
