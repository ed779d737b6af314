"""The public names of this room. Safe to import before Django's apps are ready."""

from xqueue_bridge.delivery.toggles import use_edx_submissions_for_xqueue
from xqueue_bridge.delivery.xheader import (
    make_hashkey,
    make_xheader,
    parse_xheader,
    parse_xreply,
)
from xqueue_bridge.delivery.xqueue_interface import XQueueInterface
from xqueue_bridge.delivery.xqueue_service import XQueueService

__all__ = [
    "XQueueInterface",
    "XQueueService",
    "make_hashkey",
    "make_xheader",
    "parse_xheader",
    "parse_xreply",
    "use_edx_submissions_for_xqueue",
]
