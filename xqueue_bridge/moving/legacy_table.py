"""The table of a legacy XQueue server (openedx/xqueue), read and claimed in its own database.

The server may run meanwhile. It saves a pulled row without a lock and with all columns, so it can
undo a claim; such a row is then in flight there again, and the next run only ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum

from django.apps.registry import Apps
from django.db import connections, models
from django.db.models import Q, QuerySet
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.data import Target
from xqueue_bridge.exceptions import InvalidField, InvalidHeader
from xqueue_bridge.lms.callback_url import read_url
from xqueue_bridge.moving.adopt import CLAIMED, CRASHED, IMPORTED
from xqueue_bridge.protocol.headers import parse_xheader

#: The entry of DATABASES that is the server's database, by convention.
ALIAS = "legacy_xqueue"
#: Text in grader_reply of a row that was sent to another server.
FORWARDED = "xqueue_bridge: forwarded"


class Kind(StrEnum):
    """What is to be done with a row."""

    WAITING = "waiting"
    #: A grader holds it.
    LEASED = "leased"
    #: A grader has answered, and the LMS has not acknowledged the result.
    ANSWERED = "answered"
    #: As before, and the server does not try again.
    UNACKNOWLEDGED = "unacknowledged"


class LegacyRow(models.Model):
    """A row of openedx/xqueue's table; in a registry of its own, so that Django creates no table.

    .. pii: Copies nothing; the table belongs to another service.
    .. pii_types: other
    .. pii_retirement: external_service
    """

    lms_callback_url = models.CharField(max_length=128)
    queue_name = models.CharField(max_length=128)
    xqueue_header = models.CharField(max_length=1024)
    xqueue_body = models.TextField()
    s3_keys = models.CharField(max_length=1024)
    s3_urls = models.CharField(max_length=1024)
    arrival_time = models.DateTimeField()
    pull_time = models.DateTimeField(null=True)
    push_time = models.DateTimeField(null=True)
    return_time = models.DateTimeField(null=True)
    pullkey = models.CharField(max_length=128)
    grader_reply = models.TextField()
    lms_ack = models.BooleanField()
    retired = models.BooleanField()

    class Meta:
        apps = Apps()
        app_label = "legacy_xqueue"
        db_table = "queue_submission"

    def __str__(self) -> str:
        return f"row {self.pk} ({self.queue_name})"

    def kind(self, lease: timedelta, now: datetime) -> Kind | None:
        """Return what is to be done with the row; None if it is finished."""
        if self.retired and self.grader_reply == CLAIMED:
            is_crashed = (self.return_time or now) <= now - CRASHED
            return Kind.WAITING if is_crashed else None
        if self.grader_reply and not self.lms_ack and not self.is_ours():
            return Kind.UNACKNOWLEDGED if self.retired else Kind.ANSWERED
        if self.retired:
            return None
        held = max(filter(None, (self.pull_time, self.push_time)), default=None)
        return Kind.LEASED if held is not None and held > now - lease else Kind.WAITING

    def is_ours(self) -> bool:
        """Return whether its reply is one of our texts."""
        return self.grader_reply in (CLAIMED, IMPORTED, FORWARDED)


class LegacyTable:
    """The rows of a legacy XQueue server's database; the entry ``alias`` of DATABASES."""

    def __init__(self, alias: str = ALIAS) -> None:
        self._alias = alias

    def exists(self) -> bool:
        """Return whether the database has the table."""
        names = connections[self._alias].introspection.table_names()
        return LegacyRow._meta.db_table in names

    def ids(
        self, queues: Iterable[str], course_key: CourseKey | None, *, unacknowledged: bool
    ) -> Iterator[int]:
        """Yield the ids of rows that are not finished, oldest first; only headers are read."""
        rows = self._unfinished(unacknowledged)
        if names := list(queues):
            rows = rows.filter(queue_name__in=names)
        found = rows.order_by("arrival_time", "pk").values_list("pk", "xqueue_header")
        for pk, header in found.iterator(chunk_size=500):
            if course_key is None or course_of(header) == str(course_key):
                yield pk

    def read(self, pk: int) -> LegacyRow | None:
        """Return a row with its content as it is now; None if it is deleted."""
        return self._rows().filter(pk=pk).first()

    def claim(self, row: LegacyRow) -> bool:
        """End a row for the server's graders, unless it has changed since it was read."""
        unchanged = self._rows().filter(
            pk=row.pk,
            retired__in=[row.retired],
            lms_ack__in=[row.lms_ack],
            pullkey=row.pullkey,
            pull_time=row.pull_time,
            push_time=row.push_time,
            return_time=row.return_time,
        )
        # Without a pull key, the server refuses a late result.
        return bool(
            unchanged.update(
                retired=True, pullkey="", return_time=timezone.now(), grader_reply=CLAIMED
            )
        )

    def release(self, row: LegacyRow) -> None:
        """Undo a claim: the server offers the row again."""
        self._rows().filter(pk=row.pk, grader_reply=CLAIMED).update(
            retired=False, grader_reply="", return_time=None, pull_time=None
        )

    def finish(self, row: LegacyRow, text: str) -> None:
        """Write that a claimed row is imported or forwarded."""
        self._rows().filter(pk=row.pk).update(
            retired=True, pullkey="", grader_reply=text, return_time=timezone.now()
        )

    def acknowledge(self, row: LegacyRow) -> None:
        """Write that the row's result is stored here."""
        self._rows().filter(pk=row.pk).update(retired=True, lms_ack=True, pullkey="")

    def newer_copy(self, row: LegacyRow, than: int) -> bool:
        """Return whether the table has an open row with the same header and a larger id."""
        copies = self._rows().filter(
            lms_callback_url=row.lms_callback_url, retired__in=[False], pk__gt=than
        )
        return row.xqueue_header in copies.values_list("xqueue_header", flat=True)

    def newest_id(self) -> int:
        """Return the largest id in the table; 0 if it is empty."""
        newest = self._rows().order_by("-pk").values_list("pk", flat=True).first()
        return 0 if newest is None else int(newest)

    def open_rows(self) -> Iterator[LegacyRow]:
        """Yield the rows that the drain report counts, without bodies and replies' texts."""
        rows = self._unfinished(unacknowledged=False)
        yield from rows.defer("xqueue_body", "s3_keys", "s3_urls").iterator(chunk_size=500)

    def _unfinished(self, unacknowledged: bool) -> QuerySet[LegacyRow]:
        # "IN (0)" instead of "NOT retired": MySQL uses no index for the latter.
        unfinished = Q(retired__in=[False])
        unfinished |= Q(retired__in=[True], grader_reply=CLAIMED)
        if unacknowledged:
            answered = Q(retired__in=[True], lms_ack__in=[False]) & ~Q(grader_reply="")
            unfinished |= answered & ~Q(grader_reply__in=(IMPORTED, FORWARDED))
        return self._rows().filter(unfinished)

    def _rows(self) -> QuerySet[LegacyRow]:
        return LegacyRow._default_manager.using(self._alias)


def target_of(header: str) -> Target:
    """Return the learner's block that a header names; raise InvalidField or InvalidHeader."""
    return read_url(parse_xheader(header).lms_callback_url)


def course_of(header: str) -> str | None:
    """Return the course key that a header names; None if it names none."""
    try:
        return str(target_of(header).course_key)
    except (InvalidField, InvalidHeader):
        return None
