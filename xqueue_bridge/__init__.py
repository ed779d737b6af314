"""xqueue_bridge: carries a learner's answer to an external grader, and the grade back.

Problem blocks and host settings import the two public classes from here. They are loaded
on first use, so that this package can be imported before Django's apps are ready.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xqueue_bridge.xqueue_service.interface import XQueueInterface
    from xqueue_bridge.xqueue_service.service import XQueueService

__version__ = "0.1.0"
__all__ = ["XQueueInterface", "XQueueService"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from xqueue_bridge.xqueue_service import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
