"""The drain report: what is in flight elsewhere, for each course."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from django.apps import apps
from django.conf import settings
from django.utils import timezone

from xqueue_bridge.moving import edx_submissions, legacy_table
from xqueue_bridge.moving.legacy_dump import LegacyDump
from xqueue_bridge.moving.legacy_table import LegacyTable
from xqueue_bridge.moving.legacy_xqueue import LEASE

EDX_SUBMISSIONS, LEGACY_XQUEUE = "edx-submissions", "legacy XQueue"
#: Source -> the command that imports what waits there.
COMMANDS = {
    EDX_SUBMISSIONS: "xqueue_bridge_import_edx_submissions",
    LEGACY_XQUEUE: "xqueue_bridge_import_legacy_xqueue",
}
#: The course of rows whose header names none.
UNKNOWN_COURSE = "unknown course"

#: Course key -> kind of row -> number.
Report = dict[str, Counter[str]]


def legacy_report(table: LegacyTable | LegacyDump, lease: timedelta = LEASE) -> Report:
    """Return, for each course, the number of open rows of a legacy XQueue server by kind."""
    report: Report = {}
    now = timezone.now()
    for row in table.open_rows():
        if kind := row.kind(lease, now):
            course = legacy_table.course_of(row.xqueue_header) or UNKNOWN_COURSE
            report.setdefault(course, Counter())[kind.value] += 1
    return report


def in_flight(alias: str | None = None) -> dict[str, Report]:
    """Return course -> source -> counts, of every source that is configured.

    ``alias`` is the legacy XQueue's entry of DATABASES; by default ``legacy_xqueue``, if there is
    one.
    """
    reports = {}
    if apps.is_installed("submissions"):
        reports[EDX_SUBMISSIONS] = edx_submissions.drain_report()
    if alias is None and legacy_table.ALIAS in settings.DATABASES:
        alias = legacy_table.ALIAS
    if alias is not None:
        reports[LEGACY_XQUEUE] = legacy_report(LegacyTable(alias))
    found: dict[str, Report] = {}
    for source, report in reports.items():
        for course, counts in report.items():
            found.setdefault(course, {})[source] = counts
    return dict(sorted(found.items()))


def figures(counts: Counter[str]) -> str:
    """Return counts as text: "1 leased, 12 waiting"."""
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
