"""Call management commands, and return what they print."""

from __future__ import annotations

import io
import json
from typing import Any

from django.core.management import call_command


def output_of(command: str, *arguments: object) -> str:
    """Return what a command prints on standard output; its progress is dropped."""
    output = io.StringIO()
    call_command(command, *map(str, arguments), stdout=output, stderr=io.StringIO())
    return output.getvalue().strip()


def json_of(command: str, *arguments: object) -> list[dict[str, Any]]:
    """Return the objects that a command prints with ``--json``, one in each line."""
    return [json.loads(line) for line in output_of(command, *arguments, "--json").splitlines()]
