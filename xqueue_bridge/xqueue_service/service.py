"""The XBlock runtime service "xqueue", which a problem block uses to reach a grader."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.conf import settings

from xqueue_bridge.data import Dispatch
from xqueue_bridge.lms.block import ProblemBlock, course_key, usage_key
from xqueue_bridge.lms.callback_url import build_path
from xqueue_bridge.xqueue_service.interface import XQueueInterface


class XQueueService:
    """Give one block its interface to the grader.

    The runtime creates this service whenever it loads a block, mostly without a submission, so the
    constructor makes no query, opens no connection and reads no setting.
    """

    def __init__(self, block: ProblemBlock) -> None:
        self._block = block

    @cached_property
    def interface(self) -> XQueueInterface:
        """Return the interface that sends this block's submissions by its course's transport."""
        return XQueueInterface(block=self._block)

    def construct_callback(self, dispatch: str = Dispatch.SCORE_UPDATE) -> str:
        """Return the LMS's absolute URL for the reply.

        ``<prefix>/courses/<course key>/xqueue/<user id>/<usage key>/<dispatch>``; the prefix is
        ``XQUEUE_INTERFACE["callback_url"]``, else ``LMS_ROOT_URL``.
        """
        block = self._block
        return self.callback_prefix() + build_path(
            course_key(block), block.scope_ids.user_id, usage_key(block), dispatch
        )

    @property
    def default_queuename(self) -> str:
        """Return the default queue name: organisation and course, joined by "-"."""
        key: Any = course_key(self._block)
        # A content library with a LibraryLocatorV2 key has a slug instead of a course number.
        number = key.slug if hasattr(key, "slug") else key.course
        return f"{key.org}-{number}".replace(" ", "_")

    @property
    def waittime(self) -> int:
        """Return the seconds a learner must wait before resubmitting while an answer is queued."""
        return int(getattr(settings, "XQUEUE_WAITTIME_BETWEEN_REQUESTS", 5))

    @staticmethod
    def callback_prefix() -> str:
        """Return the address that all callback URLs begin with; "" if none is configured."""
        interface = getattr(settings, "XQUEUE_INTERFACE", None) or {}
        prefix = interface.get("callback_url") or getattr(settings, "LMS_ROOT_URL", None) or ""
        return prefix.rstrip("/")
