"""A legacy XQueue server's rows from a file, written by ``manage.py dumpdata`` on that server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.moving.adopt import is_adopted
from xqueue_bridge.moving.legacy_table import LegacyRow, course_of, target_of
from xqueue_bridge.protocol.fields import read_json
from xqueue_bridge.protocol.headers import parse_xheader

_MODEL = "submission_queue.submission"


class LegacyDump:
    """The rows in a JSON or JSONL file. The server that wrote it must be stopped."""

    def __init__(self, path: Path) -> None:
        try:
            content = path.read_bytes()
            # PowerShell's ">" writes UTF-16, with a byte order mark.
            text = content.decode(json.detect_encoding(content))
            rows = [_row(entry) for entry in _entries(text) if entry["model"] == _MODEL]
        except OSError as exc:
            raise InvalidField("dump", f"cannot be read: {exc.strerror}") from None
        except (ValueError, TypeError, KeyError, ArithmeticError, ValidationError):
            # The error's text may repeat an answer.
            raise InvalidField("dump", f"is not what dumpdata {_MODEL} writes") from None
        self._rows = {row.pk: row for row in sorted(rows, key=lambda r: (r.arrival_time, r.pk))}

    def ids(
        self, queues: Iterable[str], course_key: CourseKey | None, *, unacknowledged: bool
    ) -> Iterator[int]:
        """Yield the ids of rows that are not finished, oldest first."""
        names = set(queues)
        for pk, row in self._rows.items():
            is_wanted = not row.retired or unacknowledged
            if not is_wanted or (names and row.queue_name not in names):
                continue
            if course_key is None or course_of(row.xqueue_header) == str(course_key):
                yield pk

    def open_rows(self) -> Iterator[LegacyRow]:
        """Yield the rows that no run has imported."""
        for row in self._rows.values():
            if not row.retired and not _is_here(row):
                yield row

    def read(self, pk: int) -> LegacyRow | None:
        """Return a row."""
        return self._rows.get(pk)

    def claim(self, row: LegacyRow) -> bool:
        """Return True: no other process works on a dump."""
        return True

    def finish(self, row: LegacyRow, text: str) -> None:
        """Do nothing: the next run finds the submission here, and does not enqueue it again."""

    def acknowledge(self, row: LegacyRow) -> None:
        """Do nothing: the next run finds the reply here, and does not store it again."""


def _entries(text: str) -> list[dict[str, Any]]:
    """Return the entries: dumpdata writes a list, or lines with ``--format jsonl``."""
    if text.lstrip("\ufeff \t\r\n").startswith("["):
        return list(read_json(text))
    return [read_json(line) for line in text.split("\n") if line]


def _is_here(row: LegacyRow) -> bool:
    """Return whether the row's submission or its result is in our table."""
    try:
        header = parse_xheader(row.xqueue_header)
        target = target_of(row.xqueue_header)
    except InvalidField:
        return False
    return is_adopted(target, header.queue_key, or_answered=True)


def _row(entry: dict[str, Any]) -> LegacyRow:
    given, values = entry["fields"], {}
    for field in LegacyRow._meta.concrete_fields:
        if not field.primary_key:
            value = field.to_python(given[field.attname])
            if value is None and not field.null:
                raise ValueError
            if isinstance(value, datetime) and timezone.is_naive(value):
                value = timezone.make_aware(value, UTC)
            values[field.attname] = value
    return LegacyRow(pk=int(entry["pk"]), **values)
