"""Plugin settings of type "test": at the end of envs/test.py."""

from __future__ import annotations

from xqueue_bridge.settings import common


def plugin_settings(settings: object) -> None:
    """Add what "common" adds, and the storage."""
    common.plugin_settings(settings)
    common.add_storage(settings)
