"""Rows of a dump as programs and people write them: refused, or imported, one by one."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests import odd_json
from tests.moving.legacy_server import HOST
from tests.property_examples import few
from tests.submission_queue.factories import COURSE, GOOD_REPLY, PROBLEM
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.lms.callback_url import build_path
from xqueue_bridge.moving import legacy_xqueue
from xqueue_bridge.moving.legacy_dump import LegacyDump
from xqueue_bridge.moving.legacy_xqueue import Plan
from xqueue_bridge.protocol.headers import make_xheader
from xqueue_bridge.submission_queue.models import Submission

URL = HOST + build_path(COURSE, 7, PROBLEM, "score_update")
ROW = {
    "lms_callback_url": URL[:128],
    "queue_name": "python",
    "xqueue_header": make_xheader(URL, "key-7", "python"),
    "xqueue_body": '{"student_response": "print(1)"}',
    "s3_keys": "{}",
    "s3_urls": "{}",
    "arrival_time": "2026-11-20T10:00:00Z",
    "pull_time": None,
    "push_time": None,
    "return_time": None,
    "pullkey": "",
    "grader_reply": "",
    "lms_ack": False,
    "retired": False,
}
ANSWERED = {**ROW, "grader_reply": GOOD_REPLY, "pull_time": "2026-11-20T10:00:01Z"}


def dump(*rows: dict[str, object]) -> list[dict[str, object]]:
    return [
        {"model": "submission_queue.submission", "pk": number, "fields": fields}
        for number, fields in enumerate(rows, start=1)
    ]


@pytest.mark.django_db
@settings(max_examples=few(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_json.texts(dump(ROW, ANSWERED)))
@example(json.dumps(dump({**ROW, "pull_time": "2026-11-20T10:00:00"})))
@example(json.dumps(dump({**ROW, "queue_name": None})))
@example(json.dumps(dump({**ROW, "queue_name": "n" * 129}, ROW)))
@example(json.dumps(dump({**ROW, "queue_name": " "}, ROW)))
@example(json.dumps(dump({**ROW, "xqueue_header": None})))
@example(json.dumps(dump({**ROW, "grader_reply": 5})))
@example(json.dumps(dump({**ROW, "s3_urls": "[5]"}, ROW)))
@example(json.dumps(dump({**ROW, "arrival_time": None})))
@example(json.dumps(dump({**ROW, "xqueue_body": None})))
def test_any_dump_is_refused_or_each_of_its_rows_has_an_outcome(tmp_path, text):
    """C131: a row that cannot be imported stops no other one."""
    Submission.objects.all().delete()
    path = tmp_path / "dump.json"
    path.write_text(text, encoding="utf-8")
    try:
        source = LegacyDump(path)
    except InvalidField:
        return
    done = legacy_xqueue.import_rows(source, Plan(unacknowledged=True))
    assert done.total() <= 2
    assert Submission.objects.count() == done["imported"] + done["results stored"]
