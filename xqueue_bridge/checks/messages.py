"""Messages that the check modules share."""

from __future__ import annotations

from django.core import checks
from django.utils.module_loading import import_string


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


def info(number: str, text: str, line: str) -> checks.Info:
    return checks.Info(text, hint=line, id=f"xqueue_bridge.{number}")
