"""Import from a legacy XQueue server's database, while the server goes on.

A waiting row is imported in three steps, each of which can be repeated after a crash: it is
claimed by one conditional UPDATE, which ends it for the server's graders; it is enqueued here, or
forwarded to another server; it is marked. Of an answered row the result is stored here, as if the
server had posted it to the callback URL. A row that a grader holds is left to that grader.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Protocol

from django.db import transaction
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.data import NewSubmission, Target, XHeader
from xqueue_bridge.exceptions import InvalidField, SendError, XQueueBridgeError
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.backends.callback import may_post_to
from xqueue_bridge.moving import legacy_table
from xqueue_bridge.moving.adopt import IMPORTED, NotImportable, adopt, check_importable, is_adopted
from xqueue_bridge.moving.legacy_files import LegacyFiles
from xqueue_bridge.moving.legacy_table import Kind, LegacyRow, LegacyTable
from xqueue_bridge.protocol.headers import parse_xheader
from xqueue_bridge.submission_queue import legacy
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.parsed_result import ParsedResult, parse_result
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.xqueue_service.transports.base import check_body
from xqueue_bridge.xqueue_service.transports.legacy_xqueue import LegacyXQueue

log = logging.getLogger(__name__)

#: The server's default: it offers a pulled row again after this time (SUBMISSION_PROCESSING_DELAY).
LEASE = timedelta(minutes=1)


class SameServer(XQueueBridgeError):
    """A forwarded row came back into the table that it was read from."""


class Source(Protocol):
    """The rows of a legacy XQueue server: its database, or a dump of it."""

    def ids(
        self, queues: Iterable[str], course_key: CourseKey | None, *, unacknowledged: bool
    ) -> Iterator[int]: ...

    def read(self, pk: int) -> LegacyRow | None: ...

    def claim(self, row: LegacyRow) -> bool: ...

    def finish(self, row: LegacyRow, text: str) -> None: ...

    def acknowledge(self, row: LegacyRow) -> None: ...


@dataclass(frozen=True)
class Plan:
    """Which rows are imported, and how."""

    queues: frozenset[str] = frozenset()
    course_key: CourseKey | None = None
    #: Queues whose rows are sent to the server of LEGACY_XQUEUE_INTERFACE instead.
    forward: frozenset[str] = frozenset()
    lease: timedelta = LEASE
    limit: int = 1000
    #: Results are posted to the callback URL, because the learners' state is in another process.
    post_results: bool = False
    #: Also results that the server has not brought to the LMS, and does not try again.
    unacknowledged: bool = False
    files: LegacyFiles = field(default_factory=LegacyFiles)


def import_rows(source: Source, plan: Plan) -> Counter[str]:
    """Import up to ``plan.limit`` rows; return how many had which outcome."""
    done: Counter[str] = Counter()
    ids = source.ids(plan.queues, plan.course_key, unacknowledged=plan.unacknowledged)
    # Complete before the first change, which a cursor that is still open might see.
    for pk in list(islice(ids, plan.limit)):
        row = source.read(pk)
        kind = None if row is None else row.kind(plan.lease, timezone.now())
        if row is None or kind is None:
            continue
        try:
            outcome = _import(source, plan, row, kind)
        except NotImportable as exc:
            log.warning("Row %s of the legacy XQueue is not imported: %s", pk, exc)
            outcome = "refused"
        done[outcome] += 1
    return done


def _import(source: Source, plan: Plan, row: LegacyRow, kind: Kind) -> str:
    if kind is Kind.LEASED:
        return "held by a grader"
    try:
        header = parse_xheader(row.xqueue_header)
        target = legacy_table.target_of(row.xqueue_header)
        body = check_body(row.xqueue_body)
    except InvalidField as exc:
        raise NotImportable(f"{exc.field} {exc.reason}") from None
    queue_name = check_importable(target, row.queue_name)
    if plan.post_results and not may_post_to(header.lms_callback_url):
        raise NotImportable("its callback URL is below none of CALLBACK_PREFIXES")
    if is_adopted(target, header.queue_key):
        source.finish(row, IMPORTED)
        return "imported before"
    if kind is not Kind.WAITING:
        result = parse_result(row.grader_reply)
        if target.dispatch in result.dispatches:
            return _store_result(source, plan, row, target, header, result)
        if kind is Kind.UNACKNOWLEDGED:
            raise NotImportable("its reply is not valid")
    new = NewSubmission(
        target=target,
        queue_name=queue_name,
        queue_key=header.queue_key,
        header=header.text,
        body=body,
        files=plan.files.read(row),
        answers_by_callback=plan.post_results,
    )
    is_forwarded = row.queue_name in plan.forward
    if is_forwarded and not isinstance(source, LegacyTable):
        raise NotImportable("rows of a dump are not forwarded")
    if not source.claim(row):
        return "taken by a grader"
    if is_forwarded and isinstance(source, LegacyTable):
        return _forward(source, row, header, new)
    adopt(new)
    source.finish(row, IMPORTED)
    return "imported"


def _store_result(
    source: Source,
    plan: Plan,
    row: LegacyRow,
    target: Target,
    header: XHeader,
    result: ParsedResult,
) -> str:
    """Store the result of a grader; it is applied as one that the server posts."""
    if plan.post_results:
        with transaction.atomic():
            submission = legacy.create_legacy_submission(
                target, header, Status.ANSWERED, transport=Submission.Transport.SUBMIT
            )
            grader_replies.store_reply(submission.pk, "callback", result.body, reply=result.reply)
    else:
        receipt = legacy.receive(target, header, result.body)
        if receipt.status == 503:
            return "to be tried again"
        if receipt.status != 200:
            raise NotImportable(receipt.text)
    source.acknowledge(row)
    return "results stored"


def _forward(source: LegacyTable, row: LegacyRow, header: XHeader, new: NewSubmission) -> str:
    """Send a claimed row to another server; offer it again if that server does not take it."""
    newest = source.newest_id()
    try:
        return_code, _text = LegacyXQueue().send(header, new.body, new.files)
    except SendError as exc:
        source.release(row)
        raise NotImportable(f"it was not forwarded: {exc}") from None
    if return_code:
        source.release(row)
        raise NotImportable("the other server refuses it")
    source.finish(row, legacy_table.FORWARDED)
    if source.newer_copy(row, newest):
        raise SameServer(
            "LEGACY_XQUEUE_INTERFACE is the server whose database is read: set another server, "
            "or do not forward."
        )
    return "forwarded"
