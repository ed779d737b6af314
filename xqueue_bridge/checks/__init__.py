"""System checks whose hints name the setting to write."""

from __future__ import annotations

from django.core import checks

from xqueue_bridge.checks.databases import check_databases, check_deployment
from xqueue_bridge.checks.gateway import check_gateway
from xqueue_bridge.checks.host import check_files_storage, check_host
from xqueue_bridge.checks.lms import check_lms
from xqueue_bridge.checks.monitoring import check_alerts, check_metrics
from xqueue_bridge.checks.openedx import check_openedx
from xqueue_bridge.checks.options import (
    check_crawler_detector,
    check_credentials,
    check_history,
    check_options,
    check_reply_backend,
    check_state_client,
)

__all__ = [
    "check_alerts",
    "check_crawler_detector",
    "check_credentials",
    "check_databases",
    "check_deployment",
    "check_files_storage",
    "check_gateway",
    "check_history",
    "check_host",
    "check_lms",
    "check_metrics",
    "check_openedx",
    "check_options",
    "check_reply_backend",
    "check_state_client",
    "register_all",
]


def register_all() -> None:
    """Register the package's checks; called once, when the apps are ready."""
    checks.register(check_options, "xqueue_bridge")
    checks.register(check_reply_backend, "xqueue_bridge")
    checks.register(check_crawler_detector, "xqueue_bridge")
    checks.register(check_state_client, "xqueue_bridge")
    checks.register(check_history, "xqueue_bridge")
    checks.register(check_host, "xqueue_bridge")
    checks.register(check_lms, "xqueue_bridge")
    checks.register(check_openedx, "xqueue_bridge")
    checks.register(check_credentials, "xqueue_bridge")
    checks.register(check_metrics, "xqueue_bridge")
    checks.register(check_alerts, "xqueue_bridge")
    checks.register(check_gateway, "xqueue_bridge")
    checks.register(check_databases, checks.Tags.database)
    checks.register(check_deployment, "xqueue_bridge", deploy=True)
    checks.register(check_files_storage, "xqueue_bridge", deploy=True)
