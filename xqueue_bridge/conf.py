"""The host's settings, read again when it replaces them; ``options.py`` has names and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from operator import is_
from typing import Any

from django.conf import settings

from xqueue_bridge.lms.project_type import is_lms
from xqueue_bridge.option_groups import (
    AlertOptions,
    CredentialsOptions,
    GatewayOptions,
    QueueOptions,
)
from xqueue_bridge.options import Options

#: Defaults that differ in an LMS. Learner state and grades are the platform's there, so replies
#: are applied by the block itself, and we compute no grades.
LMS_DEFAULTS: Mapping[str, object] = {
    "REPLY_BACKEND": "block",
    "BLOCK_LOADER": "xqueue_bridge.lms.loader.load_block",
    "DESCRIBE_PROBLEM": "xqueue_bridge.lms.problems.describe_problem",
    "COURSE_STRUCTURE_BACKEND": None,
}


#: The values of the host's settings that the options were read from, and the options.
_source: tuple[object, ...] = (object(), None, None)
_options = Options()
#: The same object each time, as a host's setting is.
_NONE: Mapping[str, Any] = {}


def options() -> Options:
    """Return the host's options, with defaults filled in: those of an LMS in an LMS."""
    global _source, _options
    # A host replaces these values and does not change them in place.
    urls = getattr(settings, "ROOT_URLCONF", None)
    source = (getattr(settings, "XQUEUE_BRIDGE", _NONE), settings.INSTALLED_APPS, urls)
    if not all(map(is_, source, _source)):
        given = source[0] if isinstance(source[0], Mapping) else {}  # a check reports the error
        chosen = {name: given[name] for name in option_names(Options) if name in given}
        _options = Options(**{**(LMS_DEFAULTS if is_lms() else {}), **chosen})
        _source = source  # after the options, because other threads compare it
    return _options


def queue_options(queue_name: str) -> QueueOptions:
    """Return the options of one queue, with the bridge-wide values as defaults."""
    everywhere = options()
    given = everywhere.QUEUES.get(queue_name, {})
    return QueueOptions(
        LEASE_SECONDS=given.get("LEASE_SECONDS", everywhere.LEASE_SECONDS),
        MAX_DELIVERIES=given.get("MAX_DELIVERIES", everywhere.MAX_DELIVERIES),
        MAX_AGE_SECONDS=given.get("MAX_AGE_SECONDS", everywhere.MAX_AGE_SECONDS),
        REDELIVERY_BACKOFF=given.get("REDELIVERY_BACKOFF", everywhere.REDELIVERY_BACKOFF),
        REDELIVERY_BACKOFF_MAX=given.get(
            "REDELIVERY_BACKOFF_MAX", everywhere.REDELIVERY_BACKOFF_MAX
        ),
        SCORE_SCALE=given.get("SCORE_SCALE", QueueOptions.SCORE_SCALE),
    )


def credentials_options() -> CredentialsOptions | None:
    """Return the options of Credentials; None if no grades are sent."""
    given = options().CREDENTIALS
    return CredentialsOptions(**given) if given else None


def alert_options() -> AlertOptions | None:
    """Return the options of alerts; None if no operator is notified."""
    given = options().ALERTS
    return AlertOptions(**given) if given else None


def gateway_options() -> GatewayOptions | None:
    """Return the options of the gateway; None if there is none."""
    given = options().GATEWAY
    return None if given is None else GatewayOptions(**given)


def option_names(group: type) -> frozenset[str]:
    """Return the option names of a group."""
    return frozenset(option.name for option in fields(group))
