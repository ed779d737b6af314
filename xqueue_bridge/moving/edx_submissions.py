"""Import of submissions that wait in edx-submissions, while its graders go on.

A row is imported in three steps, each of which can be repeated after a crash: it is claimed by one
conditional UPDATE, which ends it for upstream's graders; it is enqueued; it is marked as imported.
A row that a grader holds, or has answered, is left to that grader.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.data import Dispatch, NewSubmission, Target, UploadedFile
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.lms.anonymous_ids import find_user_id
from xqueue_bridge.lms.callback_url import build_path, parse_block_key
from xqueue_bridge.moving.adopt import (
    CLAIMED,
    CRASHED,
    IMPORTED,
    NotImportable,
    adopt,
    check_importable,
)
from xqueue_bridge.protocol.headers import make_xheader
from xqueue_bridge.xqueue_service.transports.base import read_files

log = logging.getLogger(__name__)

#: Upstream offers a pulled row again after this time, and so do we.
LEASE = timedelta(minutes=5)


def rows_to_import(course_key: CourseKey | None = None) -> Any:
    """Return the rows that no grader holds, oldest first."""
    from submissions.models import ExternalGraderDetail

    now = timezone.now()
    waiting = Q(status__in=("pending", "retry")) | Q(status="pulled", status_time__lt=now - LEASE)
    crashed = Q(grader_reply=CLAIMED, status_time__lt=now - CRASHED)
    rows = ExternalGraderDetail.objects.filter(waiting | crashed)
    if course_key is not None:
        rows = rows.filter(submission__student_item__course_id=str(course_key))
    return rows.select_related("submission__student_item").order_by("created_at", "pk")


def drain_report() -> dict[str, Counter[str]]:
    """Return, for each course, the number of rows in edx-submissions by status.

    ``waiting``: to be imported; ``leased``: a grader holds it; ``failed``: an operator decides.
    A course without an entry has nothing in flight there.
    """
    from submissions.models import ExternalGraderDetail

    names = {"pending": "waiting", "retry": "waiting", "pulled": "leased", "failed": "failed"}
    report: dict[str, Counter[str]] = {}
    rows = ExternalGraderDetail.objects.exclude(status="retired").order_by()
    for course_id, status in rows.values_list("submission__student_item__course_id", "status"):
        report.setdefault(course_id, Counter())[names[status]] += 1
    return report


def import_rows(course_key: CourseKey | None = None, limit: int = 1000) -> Counter[str]:
    """Import up to ``limit`` rows; return how many were imported, taken by a grader, or refused."""
    done: Counter[str] = Counter()
    for row in list(rows_to_import(course_key)[:limit]):
        try:
            new = _read(row)
        except NotImportable as exc:
            log.warning("Row %s of edx-submissions is not imported: %s", row.pk, exc)
            done["refused"] += 1
            continue
        if not _claim(row):
            done["taken by a grader"] += 1
            continue
        adopt(new)
        type(row).objects.filter(pk=row.pk).update(grader_reply=IMPORTED)
        done["imported"] += 1
    return done


def _claim(row: Any) -> bool:
    """End the row for upstream's graders, unless one of them was first."""
    unchanged = type(row).objects.filter(
        pk=row.pk, status=row.status, status_time=row.status_time, pullkey=row.pullkey
    )
    # Without a pull key, upstream refuses a late result.
    return bool(
        unchanged.update(
            status="retired", pullkey=None, status_time=timezone.now(), grader_reply=CLAIMED
        )
    )


def _read(row: Any) -> NewSubmission:
    target = _target(row.submission.student_item)
    if not row.queue_key:
        raise NotImportable("it has no queue key")
    queue_name = check_importable(target, row.queue_name)
    url = build_path(target.course_key, target.user_id, target.usage_key, target.dispatch)
    student = {
        "anonymous_student_id": str(row.submission.student_item.student_id),
        "submission_time": row.created_at.strftime("%Y%m%d%H%M%S"),
        "random_seed": 1,  # upstream does not store the seed
    }
    body = {
        "grader_payload": json.dumps({"grader": row.grader_file_name}),
        "student_info": json.dumps(student),
        "student_response": row.submission.answer,
    }
    return NewSubmission(
        target=target,
        queue_name=queue_name,
        queue_key=row.queue_key,
        header=make_xheader(url, row.queue_key, queue_name),
        body=json.dumps(body),
        files=_files(row),
    )


def _target(item: Any) -> Target:
    try:
        course_key, usage_key = parse_block_key(item.course_id, item.item_id)
    except InvalidField:
        raise NotImportable("its course or block is not a key") from None
    user_id = find_user_id(str(item.student_id))
    if user_id is None:
        raise NotImportable("its learner has no account")
    return Target(user_id, course_key, usage_key, Dispatch.SCORE_UPDATE)


def _files(row: Any) -> tuple[UploadedFile, ...]:
    contents = []
    with ExitStack() as opened:
        try:
            for stored in row.files.order_by("pk"):
                content = opened.enter_context(stored.file.open("rb"))
                content.name = stored.original_filename
                contents.append(content)
            return read_files(contents)
        except InvalidField as exc:
            raise NotImportable(f"its files: {exc.reason}") from None
        except (OSError, ValueError) as exc:  # the message has a path
            raise NotImportable(f"its files cannot be read: {type(exc).__name__}") from None
