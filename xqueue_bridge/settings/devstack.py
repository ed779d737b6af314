"""Plugin settings of type "devstack": at the end of envs/devstack.py."""

from __future__ import annotations

from xqueue_bridge.settings import common


def plugin_settings(settings: object) -> None:
    """Add what "common" adds, and the storage."""
    common.plugin_settings(settings)
    common.add_storage(settings)
