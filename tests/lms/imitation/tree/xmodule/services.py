"""The platform's XQueueService, which reads XQUEUE_INTERFACE when it is made."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse
from requests.auth import HTTPBasicAuth
from xblocks_contrib.problem.capa.xqueue_interface import XQueueInterface


class XQueueService:
    """Gives a block its interface to an XQueue server over HTTP."""

    def __init__(self, block):
        basic_auth = settings.XQUEUE_INTERFACE.get("basic_auth")
        requests_auth = HTTPBasicAuth(*basic_auth) if basic_auth else None
        self._block = block
        self._interface = XQueueInterface(
            settings.XQUEUE_INTERFACE["url"],
            settings.XQUEUE_INTERFACE["django_auth"],
            requests_auth,
            block=block,
            use_submission_service=False,
        )

    @property
    def interface(self):
        return self._interface

    def construct_callback(self, dispatch="score_update"):
        keys = self._block.scope_ids
        path = reverse(
            "xqueue_callback",
            kwargs={
                "course_id": str(keys.usage_id.context_key),
                "userid": str(keys.user_id),
                "mod_id": str(keys.usage_id),
                "dispatch": dispatch,
            },
        )
        return settings.XQUEUE_INTERFACE.get("callback_url", settings.LMS_ROOT_URL) + path

    @property
    def default_queuename(self):
        key = self._block.scope_ids.usage_id.context_key
        return f"{key.org}-{key.course}".replace(" ", "_")

    @property
    def waittime(self):
        return settings.XQUEUE_WAITTIME_BETWEEN_REQUESTS
