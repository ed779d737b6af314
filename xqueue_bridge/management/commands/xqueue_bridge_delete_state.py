"""Delete learners' state and scores at a block."""

from __future__ import annotations

from xqueue_bridge.deletion import delete_state, has_state
from xqueue_bridge.management.block_command import BlockCommand


class Command(BlockCommand):
    help = (
        "Delete learners' state and score at a block, and supersede their open submissions. The "
        "history keeps what was there."
    )
    done = "deleted"
    perform = staticmethod(delete_state)
    would_change = staticmethod(has_state)
