"""System checks whose hints name the setting to write; the import registers them."""

from xqueue_bridge.checks import databases, gateway, host, lms, monitoring, openedx, options

__all__ = ["databases", "gateway", "host", "lms", "monitoring", "openedx", "options"]
