"""Plugin settings of type "common", and the functions that the other types use.

The platform calls ``plugin_settings`` with its settings module: of type "common" at the end of
``envs/common.py``, of the other types at the end of their own file. There the site's YAML has
replaced whole settings, and ``STORAGES`` exists in every release, so they do everything again.
"""

from __future__ import annotations

import os
from typing import Any

#: Paths whose requests TrackMiddleware leaves out of the tracking log. Graders send secrets and
#: feedback, and poll all the time.
TRACKING_IGNORE = r"^/xqueue/"
HEALTH_CHECK = "xqueue_bridge.health.health_check"
STORAGE_ALIAS = "xqueue_bridge"
_FILE_SYSTEM = "django.core.files.storage.FileSystemStorage"
#: Default storages that keep files in a directory.
_IN_A_DIRECTORY = (_FILE_SYSTEM, "django.core.files.storage.filesystem.FileSystemStorage")


def plugin_settings(settings: object) -> None:
    """Add what the bridge needs to the settings module of an LMS or CMS."""
    ignore_in_tracking_log(settings)
    add_health_check(settings)


def ignore_in_tracking_log(settings: Any) -> None:
    """Add the graders' paths to TRACKING_IGNORE_URL_PATTERNS."""
    patterns = list(getattr(settings, "TRACKING_IGNORE_URL_PATTERNS", None) or ())
    if TRACKING_IGNORE not in patterns:
        settings.TRACKING_IGNORE_URL_PATTERNS = [*patterns, TRACKING_IGNORE]


def add_health_check(settings: Any) -> None:
    """Add our check to ``/heartbeat?extended``."""
    present = tuple(getattr(settings, "HEARTBEAT_EXTENDED_CHECKS", None) or ())
    if HEALTH_CHECK not in present:
        settings.HEARTBEAT_EXTENDED_CHECKS = (*present, HEALTH_CHECK)


def add_storage(settings: Any) -> None:
    """Add a private storage for learners' files, if the site has none and keeps files in folders.

    A site whose default storage is elsewhere must name a private one itself, because several
    machines share no folder; system check W001 says so.
    """
    storages = getattr(settings, "STORAGES", None)
    folder = getattr(settings, "DATA_DIR", None)
    if not isinstance(storages, dict) or STORAGE_ALIAS in storages or not folder:
        return
    if storages.get("default", {}).get("BACKEND") in _IN_A_DIRECTORY:
        location = os.path.join(str(folder), STORAGE_ALIAS)
        private = {"BACKEND": _FILE_SYSTEM, "OPTIONS": {"location": location}}
        settings.STORAGES = {**storages, STORAGE_ALIAS: private}
