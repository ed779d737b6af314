"""Checks of the settings for metrics and alerts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from django.core import checks

from xqueue_bridge.checks.messages import error
from xqueue_bridge.checks.values import is_address, wrong_values
from xqueue_bridge.conf import options
from xqueue_bridge.option_groups import AlertOptions


@checks.register("xqueue_bridge")
def check_metrics(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that the metrics can be exposed if a token for them is set."""
    if not options().METRICS_TOKEN or find_spec("prometheus_client"):
        return []
    text = "XQUEUE_BRIDGE['METRICS_TOKEN'] is set, and prometheus_client is not installed."
    return [error("E018", text, "pip install 'xqueue-bridge[metrics]'")]


@checks.register("xqueue_bridge")
def check_alerts(**kwargs: object) -> list[checks.CheckMessage]:
    """Check that alerts have an address, and that the webhook is an address with a secret."""
    given, where = options().ALERTS, "XQUEUE_BRIDGE['ALERTS']"
    if not given or not isinstance(given, Mapping):
        return []  # check_options reports another type
    found = wrong_values(AlertOptions, given, where)
    url = given.get("WEBHOOK_URL")
    if not url and not given.get("EMAILS"):
        line = f"{where}['EMAILS'] = ('operators@example.com',)"
        found.append(error("E019", f"{where} names neither EMAILS nor a WEBHOOK_URL.", line))
    if url and not is_address(url):
        line = f"{where}['WEBHOOK_URL'] = 'https://...'"
        found.append(error("E009", f"{where}['WEBHOOK_URL'] is not an address.", line))
    if url and not given.get("WEBHOOK_SECRET"):
        line = f"{where}['WEBHOOK_SECRET'] = '...'"
        found.append(error("E019", f"{where}['WEBHOOK_SECRET'] is missing.", line))
    return found
