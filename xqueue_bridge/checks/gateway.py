"""Checks of the settings for the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from django.core import checks

from xqueue_bridge.checks.messages import error
from xqueue_bridge.checks.values import wrong_values
from xqueue_bridge.conf import options
from xqueue_bridge.option_groups import GatewayOptions

_SCHEMES = ("redis://", "rediss://", "unix://")


@checks.register("xqueue_bridge")
def check_gateway(**kwargs: object) -> list[checks.CheckMessage]:
    """Check the values of GATEWAY, and that Redis can be used if it names a server."""
    given, where = options().GATEWAY, "XQUEUE_BRIDGE['GATEWAY']"
    if not isinstance(given, Mapping):
        return []  # check_options reports another type than None
    found = wrong_values(GatewayOptions, given, where)
    url = given.get("REDIS_URL")
    if isinstance(url, str):
        line = f"{where}['REDIS_URL'] = 'redis://redis.example.com:6379/0'"
        if not url.startswith(_SCHEMES):  # the value is not repeated: it may hold a password
            found.append(error("E009", f"{where}['REDIS_URL'] is not the URL of a Redis.", line))
        elif find_spec("redis") is None:
            text = f"{where}['REDIS_URL'] is set, and redis is not installed."
            found.append(error("E050", text, "pip install redis"))
    return found
