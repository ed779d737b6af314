"""Checks of what is in force in an LMS, and how to change it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.urls import NoReverseMatch, reverse

from xqueue_bridge.checks.messages import error, info
from xqueue_bridge.conf import LMS_DEFAULTS, options
from xqueue_bridge.lms.plugin import CLASS_NAME
from xqueue_bridge.lms.project_type import is_lms
from xqueue_bridge.settings.common import TRACKING_IGNORE

if TYPE_CHECKING:
    from xqueue_bridge.apps import XQueueBridgeConfig

_SWITCH = "XQUEUE_BRIDGE['REPLACE_XQUEUE_SERVICE']"
_BACKEND = "XQUEUE_BRIDGE['REPLY_BACKEND']"


@checks.register("xqueue_bridge")
def check_lms(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that blocks reach the bridge, that replies reach blocks, and the tracking log."""
    if not is_lms():
        return []
    return [*_service(), *_reply_backend(), *_tracking_log()]


def _service() -> list[checks.CheckMessage]:
    config = cast("XQueueBridgeConfig", apps.get_app_config("xqueue_bridge"))
    installation = config.service_installation
    if installation is None:
        text = "Problem blocks use the platform's XQueueService, because the bridge's is off."
        return [info("I002", text, f"{_SWITCH} = True, to use the bridge's")]
    if installation.module is None:
        text = f"The bridge's XQueueService is not in use: {installation.problem}."
        hint = f"{_SWITCH} = False, and assign the class yourself; see docs/how-tos/install.rst"
        return [error("E040", text, hint)]
    text = (
        f"{installation.module}.{CLASS_NAME} is the bridge's; replies are applied by the backend "
        f"{options().REPLY_BACKEND!r}."
    )
    return [info("I001", text, f"{_SWITCH} = False, to use the platform's")]


def _reply_backend() -> list[checks.CheckMessage]:
    if options().REPLY_BACKEND != "state":
        return []
    text = f"{_BACKEND} is 'state', which does not write to the LMS's tables: grades would be lost."
    return [error("E041", text, f"{_BACKEND} = {LMS_DEFAULTS['REPLY_BACKEND']!r}")]


def _tracking_log() -> list[checks.CheckMessage]:
    if not any(name.endswith(".TrackMiddleware") for name in settings.MIDDLEWARE):
        return []
    try:
        path = reverse("xqueue_bridge:login")
    except NoReverseMatch:
        return []  # check_host reports it
    patterns = getattr(settings, "TRACKING_IGNORE_URL_PATTERNS", None) or ()
    if any(re.match(pattern, path) for pattern in patterns):
        return []
    text = "The tracking log stores graders' requests, with secrets and feedback."
    return [error("E042", text, f"TRACKING_IGNORE_URL_PATTERNS += [{TRACKING_IGNORE!r}]")]
