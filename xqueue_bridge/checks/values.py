"""Checks of the type, range and format of setting values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any, get_args, get_type_hints
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks

from xqueue_bridge.checks.messages import error
from xqueue_bridge.options import Options

_SECONDS = 10 * 365 * 86_400  # now plus this is still a valid date
_BYTES = 2**31 - 1
_SMALL = 2**15 - 1  # the maximum of a count's column

#: The minimum and maximum of each numeric setting.
RANGES: dict[str, tuple[float, float]] = {
    "MAX_BODY_BYTES": (1, _BYTES),
    "MAX_FILES": (0, _SMALL),
    "MAX_FILE_BYTES": (1, _BYTES),
    "MAX_PENDING_ANSWERS": (0, _SMALL),
    "PRIORITY_SECONDS": (0, 7 * 86_400),
    "FILE_URL_SECONDS": (1, _SECONDS),
    "LEASE_SECONDS": (1, _SECONDS),
    "MAX_DELIVERIES": (1, _SMALL),
    "MAX_AGE_SECONDS": (1, _SECONDS),
    "REDELIVERY_BACKOFF": (0, _SECONDS),
    "REDELIVERY_BACKOFF_MAX": (0, _SECONDS),
    "PAUSE_AFTER_INVALID_REPLIES": (0, _SMALL),
    "MAX_REPLY_BYTES": (1, _BYTES),
    "SESSION_SECONDS": (1, _SECONDS),
    "GRADER_CACHE_SECONDS": (0, _SECONDS),
    "STALE_AFTER_SECONDS": (0, _SECONDS),
    "MAX_ATTEMPTS": (1, _SMALL),
    "RETRY_BACKOFF": (0.1, _SECONDS),
    "RETRY_BACKOFF_MAX": (0.1, _SECONDS),
    "USER_STATE_BATCH_SIZE": (1, 100_000),
    # A worker holds the task for this long; RabbitMQ closes a worker's channel after 30 minutes.
    "RECALCULATE_GRADE_DELAY_SECONDS": (0, 900),
    "GRADE_FREEZE_DAYS": (0, 36_500),
    "STALLED_SECONDS": (1, _SECONDS),
    "GRADER_GONE_SECONDS": (60, _SECONDS),
    "FAILED_PER_HOUR": (1, _BYTES),
    "REPEAT_SECONDS": (0, _SECONDS),
    "HOLD_SECONDS": (0, 3600),
    "SILENT_SECONDS": (0.1, 3600),
    "POLL_SECONDS": (0.02, 60),
    "THREADS": (1, 500),
    "MAX_CONNECTIONS": (1, 1_000_000),
}
#: The id of the error, and the values, of each setting that has few.
CHOICES: dict[str, tuple[str, tuple[object, ...]]] = {
    "SCORE_SCALE": ("E002", ("points", "fraction")),
    "TASK_RUNNER": ("E006", ("inline", "celery", None)),
    "GRADE_SIGNALS": ("E012", ("every", "transitions")),
    "LATE_RESULTS": ("E017", ("never", "if_waiting", "ask_staff")),
}
#: REST framework reads only the unit's first letter, so it takes a month for a minute.
_RATE = re.compile(r"0*[1-9][0-9]*/(s|sec|second|m|min|minute|h|hour|d|day)")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def wrong_values(group: type, given: Mapping[str, object], where: str) -> list[checks.CheckMessage]:
    """Return an error for each entry of ``given`` that ``group`` does not have or cannot use."""
    types = get_type_hints(group)
    found: list[checks.CheckMessage] = []
    for name, value in given.items():
        line = f"{where}[{name!r}]"
        if name in types:
            example = getattr(group, name, getattr(Options, name, None))
            found += _wrong_type(types[name], value, line, example)
            found += _wrong_number(name, value, line, example)
            found += _wrong_text(name, value, line, example)
            found += _wrong_choice(name, value, line)
        else:
            known = ", ".join(sorted(types))
            found.append(error("E001", f"{line} is not a setting.", f"One of: {known}"))
    return found


def _wrong_type(
    given: Any, value: object, line: str, example: object
) -> Iterator[checks.CheckMessage]:
    allowed = get_args(given) if type(None) in get_args(given) else (given,)
    plain = tuple(getattr(each, "__origin__", each) for each in allowed)
    if float in plain:
        plain += (int,)
    if tuple in plain:
        plain += (list,)
    if not isinstance(value, plain) or (isinstance(value, bool) and bool not in plain):
        names = " or ".join("None" if each is type(None) else each.__name__ for each in plain)
        if example is None and type(None) not in plain:
            example = {} if Mapping in plain else "..."
        text = f"{line} is {type(value).__name__}, not {names}."
        yield error("E001", text, f"{line} = {example!r}")


def _wrong_number(
    name: str, value: object, line: str, example: object
) -> Iterator[checks.CheckMessage]:
    if name in RANGES and isinstance(value, int | float) and not isinstance(value, bool):
        least, greatest = RANGES[name]
        if not least <= value <= greatest:
            text = f"{line} is {value!r}, not between {least} and {greatest}."
            yield error("E008", text, f"{line} = {example!r}")


def _wrong_text(
    name: str, value: object, line: str, example: object
) -> Iterator[checks.CheckMessage]:
    if not isinstance(value, str):
        return
    reason = ""
    if name == "LOGIN_FAILURE_RATE" and not _RATE.fullmatch(value):
        reason = "not a number above 0 for each s, min, hour or day"
    elif name == "SESSION_COOKIE" and not _COOKIE_NAME.fullmatch(value):
        reason = "not a name that a cookie can have"
    elif name == "SESSION_COOKIE" and value in _host_cookies():
        reason = "the name of another cookie"
    elif name == "PUBLIC_URL" and not is_address(value):
        reason, example = "not the address of a site", "https://lms.example.com"
    if reason:
        yield error("E009", f"{line} is {value!r}, which is {reason}.", f"{line} = {example!r}")


def _wrong_choice(name: str, value: object, line: str) -> Iterator[checks.CheckMessage]:
    number, choices = CHOICES.get(name, ("", (value,)))
    if value not in choices:
        known = " or ".join(map(repr, choices))
        yield error(number, f"{line} is not {known}.", f"{line} = {known}")


def wrong_proxies(value: object, where: str) -> list[checks.CheckMessage]:
    """Return an error for each trusted proxy that is not an IP address or network."""
    found: list[checks.CheckMessage] = []
    for proxy in value if isinstance(value, list | tuple) else ():
        try:
            ip_network(proxy, strict=False)
        except (ValueError, TypeError):
            text = f"{where}['TRUSTED_PROXIES']: {proxy!r} is not an IP address or network."
            found.append(error("E009", text, f"{where}['TRUSTED_PROXIES'] = ('10.0.0.0/8',)"))
    return found


def is_address(value: object) -> bool:
    """Return whether ``value`` is a base URL to which requests can be sent."""
    if not isinstance(value, str) or re.search(r"[\s\\]", value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _host_cookies() -> tuple[str, ...]:
    return settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.LANGUAGE_COOKIE_NAME
