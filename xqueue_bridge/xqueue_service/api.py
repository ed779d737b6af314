"""Public API of the package. Safe to import before Django's apps are ready."""

from xqueue_bridge.protocol.headers import (
    make_hashkey,
    make_xheader,
    parse_xreply,
)
from xqueue_bridge.xqueue_service.interface import XQueueInterface
from xqueue_bridge.xqueue_service.service import XQueueService
from xqueue_bridge.xqueue_service.toggles import (
    has_legacy_server,
    set_transport_override,
    use_edx_submissions_for_xqueue,
)

__all__ = [
    "XQueueInterface",
    "XQueueService",
    "has_legacy_server",
    "make_hashkey",
    "make_xheader",
    "parse_xreply",
    "set_transport_override",
    "use_edx_submissions_for_xqueue",
]
