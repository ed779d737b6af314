"""System checks whose hints name the setting to write; the import registers them."""

from xqueue_bridge.checks import databases, gateway, host, limits, lms, monitoring, openedx, options

__all__ = ["databases", "gateway", "host", "limits", "lms", "monitoring", "openedx", "options"]
