"""Progress lines of commands that run for long."""

from __future__ import annotations

import io

from django.core.management.base import OutputWrapper

from xqueue_bridge.management import progress
from xqueue_bridge.management.progress import Progress


def written(**options: bool) -> str:
    stream = io.StringIO()
    reported = Progress(OutputWrapper(stream), 8, **options)
    reported.update(2, "two")
    reported.update(9, "nine")
    return stream.getvalue()


def test_no_line_is_written_before_the_interval_has_passed() -> None:
    assert written() == ""


def test_line_has_percent_up_to_100_and_the_note(monkeypatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0)
    assert written() == "25%: two\n100%: nine\n"


def test_quiet_writes_nothing(monkeypatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0)
    assert written(quiet=True) == ""
