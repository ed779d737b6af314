"""The "xqueue" service: what a problem block is given when it asks how to reach a grader."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.conf import settings

from xqueue_bridge.data import Dispatch
from xqueue_bridge.lms.block import ProblemBlock, course_key, usage_key
from xqueue_bridge.lms.callback_url import build_path
from xqueue_bridge.xqueue_service.interface import XQueueInterface


class XQueueService:
    """How one block reaches its grader.

    A block asks for this each time it loads, mostly without anything to send, so making one
    does nothing at all: no query, no connection, no look at the settings.
    """

    def __init__(self, block: ProblemBlock) -> None:
        self._block = block

    @cached_property
    def interface(self) -> XQueueInterface:
        """What sends this block's submissions, by the transport of its course."""
        return XQueueInterface(block=self._block)

    def construct_callback(self, dispatch: str = Dispatch.SCORE_UPDATE) -> str:
        """Return the LMS's absolute URL for the reply.

        ``<prefix>/courses/<course key>/xqueue/<user id>/<usage key>/<dispatch>``; the prefix is
        ``XQUEUE_INTERFACE["callback_url"]``, else ``LMS_ROOT_URL``.
        """
        block = self._block
        return self._callback_prefix() + build_path(
            course_key(block), block.scope_ids.user_id, usage_key(block), dispatch
        )

    @property
    def default_queuename(self) -> str:
        """The queue of a problem that names none: organisation and course, joined by "-"."""
        key: Any = course_key(self._block)
        # A content library of the newer kind has a slug where a course has its number.
        number = key.slug if hasattr(key, "slug") else key.course
        return f"{key.org}-{number}".replace(" ", "_")

    @property
    def waittime(self) -> int:
        """Seconds that a learner waits before answering again while an answer is queued."""
        return int(getattr(settings, "XQUEUE_WAITTIME_BETWEEN_REQUESTS", 5))

    @staticmethod
    def _callback_prefix() -> str:
        interface = getattr(settings, "XQUEUE_INTERFACE", None) or {}
        prefix = interface.get("callback_url") or getattr(settings, "LMS_ROOT_URL", None) or ""
        return prefix.rstrip("/")
