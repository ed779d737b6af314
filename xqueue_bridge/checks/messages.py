"""Messages and value tests that the check modules share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args, get_type_hints

from django.core import checks
from django.utils.module_loading import import_string

from xqueue_bridge.options import Options


def wrong_values(
    group: type, given: Mapping[str, object], where: str
) -> Iterator[checks.CheckMessage]:
    types = get_type_hints(group)
    for name, value in given.items():
        if name not in types:
            known = ", ".join(sorted(types))
            yield error("E001", f"{where}[{name!r}] is not a setting.", f"One of: {known}")
            continue
        allowed = get_args(types[name]) if type(None) in get_args(types[name]) else (types[name],)
        plain = tuple(getattr(each, "__origin__", each) for each in allowed)
        if float in plain:
            plain += (int,)
        if tuple in plain:
            plain += (list,)
        if not isinstance(value, plain) or (isinstance(value, bool) and bool not in plain):
            names = ("None" if each is type(None) else each.__name__ for each in plain)
            unset = {} if Mapping in plain else "..."
            example = getattr(group, name, getattr(Options, name, unset))
            yield error(
                "E001",
                f"{where}[{name!r}] is {type(value).__name__}, not {' or '.join(names)}.",
                f"{where}[{name!r}] = {example!r}",
            )


def unimportable(
    name: str, path: str, where: str = "XQUEUE_BRIDGE", example: str = "'package.module.name'"
) -> list[checks.CheckMessage]:
    """Return the error of a dotted path that names nothing, or nothing that can be called."""
    try:
        found = import_string(path)
    except Exception as exc:  # the import runs foreign code
        reason = f"cannot be imported: {type(exc).__name__}"
    else:
        if callable(found):
            return []
        reason = "cannot be called"
    line = f"{where}[{name!r}] = {example}, not {path!r}"
    return [error("E003", f"{where}[{name!r}] {reason}.", line)]


def error(number: str, text: str, line: str) -> checks.Error:
    return checks.Error(text, hint=line, id=f"xqueue_bridge.{number}")


def warning(number: str, text: str, line: str) -> checks.Warning:
    return checks.Warning(text, hint=line, id=f"xqueue_bridge.{number}")
