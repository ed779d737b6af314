"""Checks that openedx-events and openedx-filters are installed if the settings need them."""

from __future__ import annotations

from importlib.util import find_spec

from django.core import checks

from xqueue_bridge.checks.messages import error
from xqueue_bridge.conf import options
from xqueue_bridge.lms import external_grader_event, filters

_INSTALL = "pip install xqueue-bridge[openedx]"


@checks.register("xqueue_bridge")
def check_openedx(**kwargs: object) -> list[checks.CheckMessage]:
    """Check the packages of the platform's events and filters."""
    found: list[checks.CheckMessage] = []
    named = [each for each in (filters.SUBMISSION, filters.RESULT) if filters.is_configured(each)]
    if named and find_spec("openedx_filters") is None:
        text = f"OPEN_EDX_FILTERS_CONFIG has {named[0]!r}, but openedx-filters is not installed."
        found.append(error("E043", text, _INSTALL))
    for name in ("SEND_EXTERNAL_GRADER_EVENT", "RECEIVE_EXTERNAL_GRADER_EVENT"):
        if getattr(options(), name) is True and external_grader_event.get_signal() is None:
            text = f"XQUEUE_BRIDGE[{name!r}] is True, but openedx-events 10.5 is not installed."
            found.append(error("E044", text, _INSTALL))
    return found
