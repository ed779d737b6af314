"""Public API of the package: tell operators of trouble, by mail and by a webhook."""

from xqueue_bridge.alerts.conditions import update_alerts
from xqueue_bridge.alerts.models import Alert
from xqueue_bridge.alerts.notify import send_due_alerts

__all__ = ["Alert", "send_due_alerts", "update_alerts"]
