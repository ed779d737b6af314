"""The tests of a course's applied replies as a CSV file, one line for each test.

Headers and numbers are the same in every language, because programs read the file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime

from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.db.batches import by_key
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.views.decorators import staff_required
from xqueue_bridge.views.gradebook_csv import BYTE_ORDER_MARK, Echo, safe
from xqueue_bridge.views.learners import MAX_KEY_LENGTH, learners_by_id

#: Replies in one statement; their tests have at most 100,000 characters each.
BATCH_SIZE = 200
HEADER = (
    "user_id",
    "username",
    "block",
    "submission",
    "reply",
    "received_at",
    "score",
    "staff_note",
    "test",
    "test_score",
    "test_max_score",
    "visible",
    "message",
)


def lines_of_tests(course_key: CourseKey, since: datetime | None = None) -> Iterator[str]:
    """Yield the file line by line; two statements for each ``BATCH_SIZE`` replies.

    A reply with a staff note and no tests has one line. Replies without either are left out.
    """
    writer = csv.writer(Echo())
    yield BYTE_ORDER_MARK + writer.writerow(HEADER)
    replies = (
        ReceivedReply.objects.filter(
            submission__course_key=course_key, status=ReceivedReply.Status.APPLIED
        )
        .select_related("submission")
        .defer("body", "message")
    )
    if since is not None:
        replies = replies.filter(received_at__gte=since)
    for batch in by_key(replies, size=BATCH_SIZE):
        kept = [reply for reply in batch if reply.tests or reply.staff_note]
        user_ids = sorted({reply.submission.user_id for reply in kept})
        names = {each.user_id: each.username for each in learners_by_id(user_ids)}
        for reply in kept:
            for cells in _cells(reply, names[reply.submission.user_id]):
                yield writer.writerow([safe(cell) for cell in cells])


def _cells(reply: ReceivedReply, username: str) -> Iterator[list[str]]:
    submission = reply.submission
    score = "" if reply.score_applied is None else f"{reply.score_applied:g}"
    common = [
        str(submission.user_id),
        username,
        str(submission.usage_key),
        str(submission.pk),
        str(reply.pk),
        reply.received_at.isoformat(),
        score,
        reply.staff_note,
    ]
    for test in reply.tests or [None]:
        if test is None:
            yield [*common, "", "", "", "", ""]
            continue
        points = [f"{test['score']:g}", f"{test['max_score']:g}"]
        visible = "yes" if test["visible"] else "no"
        yield [*common, test["name"], *points, visible, test["message"]]


@staff_required
@require_GET
def tests_csv(request: HttpRequest, course_id: str) -> StreamingHttpResponse:
    """Send the tests of a course's replies as a CSV file."""
    try:
        course_key = CourseKey.from_string(course_id[: MAX_KEY_LENGTH + 1])
    except InvalidKeyError:
        raise Http404(_("Course not found.")) from None
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", str(course_key))
    return StreamingHttpResponse(
        lines_of_tests(course_key),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="tests_{name}.csv"',
            "X-Content-Type-Options": "nosniff",
        },
    )
