"""Import from the real edx-submissions, while its graders are running."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from ccx_keys.locator import CCXLocator
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey
from submissions.models import ExternalGraderDetail, StudentItem, SubmissionFile
from submissions.models import Submission as TheirSubmission

from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.data import NewSubmission
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.lms import anonymous_ids
from xqueue_bridge.moving import edx_submissions
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission

CCX = CCXLocator.from_course_locator(COURSE, "1")
THE_PAST = datetime(2020, 1, 1, tzinfo=UTC)
PENDING, PULLED, RETIRED = "pending", "pulled", "retired"
OLD = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _learners(monkeypatch) -> None:
    """The platform's anonymous ids: "anonymous-7" is user 7; others have no account."""

    def find_user_id(anonymous_id: str) -> int | None:
        name, _, number = anonymous_id.rpartition("-")
        return int(number) if name == "anonymous" else None

    monkeypatch.setattr(edx_submissions, "find_user_id", find_user_id)


def make_row(
    user_id: int = 7,
    *,
    student: str | None = None,
    item: str = str(PROBLEM),
    course: CourseKey = COURSE,
    age: timedelta = OLD,
    **fields: Any,
) -> ExternalGraderDetail:
    student_item = StudentItem.objects.create(
        student_id=student or f"anonymous-{user_id}",
        course_id=str(course),
        item_id=item,
        item_type="problem",
    )
    theirs = TheirSubmission.objects.create(
        student_item=student_item, answer="print(1)", attempt_number=1
    )
    defaults = {"queue_name": "python", "queue_key": f"key-{user_id}", "grader_file_name": "g.py"}
    at = timezone.now() - age
    return ExternalGraderDetail.objects.create(
        submission=theirs, status_time=at, created_at=at, **{**defaults, **fields}
    )


def test_waiting_row_is_imported(db):
    """C131: learner, block, queue, key and answer; upstream's graders are not offered it again."""
    row = make_row()
    assert edx_submissions.import_rows(COURSE) == Counter(imported=1)
    stored = Submission.objects.get()
    assert (stored.user_id, stored.course_key, stored.usage_key) == (7, COURSE, PROBLEM)
    assert (stored.queue_name, stored.queue_key, stored.transport) == ("python", "key-7", "table")
    header = json.loads(stored.content.header)
    assert header["lms_key"] == "key-7"
    assert header["lms_callback_url"].endswith(f"/xqueue/7/{PROBLEM}/score_update")
    body = json.loads(stored.content.body)
    assert json.loads(body["grader_payload"]) == {"grader": "g.py"}
    assert json.loads(body["student_info"])["anonymous_student_id"] == "anonymous-7"
    assert body["student_response"] == "print(1)"
    row.refresh_from_db()
    assert (row.status, row.pullkey, row.grader_reply) == (RETIRED, None, edx_submissions.IMPORTED)
    assert edx_submissions.import_rows(COURSE) == Counter()


def test_white_space_around_the_name_of_a_queue_is_removed(db):
    """Kind 7: MySQL ignores it at the end, so graders of the other queue got such a row too."""
    make_row(queue_name="python ")
    assert edx_submissions.import_rows() == Counter(imported=1)
    assert Submission.objects.get().queue_name == "python"


def test_row_of_a_custom_course_is_imported(db):
    """The key has the class that the platform gives it, so it is equal to the platform's."""
    usage_key = CCX.make_usage_key("problem", PROBLEM.block_id)
    make_row(course=CCX, item=str(usage_key))
    assert edx_submissions.import_rows(CCX) == Counter(imported=1)
    stored = Submission.objects.get()
    assert (stored.course_key, stored.usage_key) == (CCX, usage_key)


def test_files_are_copied(db, settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)
    row = make_row()
    SubmissionFile.objects.create(
        external_grader=row, file=ContentFile(b"print(1)", "x"), original_filename="a.py"
    )
    edx_submissions.import_rows()
    [stored] = Submission.objects.get().content.stored_files()
    assert (stored.name, stored.size) == ("a.py", 8)


@pytest.mark.parametrize("fault", ["gone", "too large", "too many"])
def test_row_with_files_that_cannot_be_read_stays(db, settings, tmp_path, fault, caplog):
    """C131: the other rows are imported; the log has the reason, and no path."""
    settings.MEDIA_ROOT = str(tmp_path)
    settings.XQUEUE_BRIDGE = {"MAX_FILES": 1, "MAX_FILE_BYTES": 4 if fault == "too large" else 8}
    row, _ = make_row(7), make_row(8)
    for _ in range(2 if fault == "too many" else 1):
        file = SubmissionFile.objects.create(
            external_grader=row, file=ContentFile(b"print(1)", "x"), original_filename="a.py"
        )
    if fault == "gone":
        file.file.storage.delete(file.file.name)
    assert edx_submissions.import_rows() == Counter(imported=1, refused=1)
    assert Submission.objects.get().user_id == 8
    assert f"Row {row.pk} of edx-submissions is not imported: its files" in caplog.text
    assert str(tmp_path) not in caplog.text


@pytest.mark.parametrize(
    ("fields", "imported"),
    [
        ({"status": "retry"}, 1),
        ({"status": PULLED, "pullkey": "k", "age": timedelta(minutes=6)}, 1),
        ({"status": PULLED, "pullkey": "k", "age": timedelta(minutes=4)}, 0),
        ({"status": RETIRED}, 0),
        ({"status": "failed"}, 0),
    ],
)
def test_rows_that_a_grader_holds_or_has_answered_stay(db, fields, imported):
    """C131: a lease that has not ended belongs to upstream's grader."""
    make_row(**fields)
    assert edx_submissions.import_rows()["imported"] == imported
    assert Submission.objects.count() == imported


@pytest.mark.parametrize(
    "fields",
    [
        {"queue_key": None},
        {"student": "unknown-1"},
        {"item": "not a key"},
        {"course": CCX},
        {"queue_name": " "},
    ],
)
def test_row_that_cannot_be_imported_stays(db, fields):
    row = make_row(**fields)
    assert edx_submissions.import_rows() == Counter(refused=1)
    row.refresh_from_db()
    assert row.status == PENDING
    assert not Submission.objects.exists()


@pytest.mark.parametrize("was_enqueued", [True, False])
def test_crashed_import_is_finished(db, killed_import, was_enqueued):
    """C131: a process that was killed after the claim loses nothing, and doubles nothing."""
    make_row()
    with killed_import(was_enqueued):
        edx_submissions.import_rows()
    assert edx_submissions.import_rows() == Counter()  # another process may still be at it
    ExternalGraderDetail.objects.update(status_time=timezone.now() - OLD)
    assert edx_submissions.import_rows() == Counter(imported=1)
    assert Submission.objects.count() == 1


def test_oldest_rows_of_the_course_are_imported_first(db):
    newer, older = make_row(1, age=timedelta(minutes=1)), make_row(2)
    newest = make_row(3, age=timedelta(0))
    assert list(edx_submissions.rows_to_import(COURSE)) == [older, newer, newest]
    other = CourseKey.from_string("course-v1:DemoX+CS102+2026")
    assert not edx_submissions.rows_to_import(other).exists()
    assert edx_submissions.import_rows(limit=1) == Counter(imported=1)
    assert Submission.objects.get().user_id == 2


@pytest.mark.parametrize(
    "change",
    [{"status": PULLED}, {"status": "failed"}, {"status_time": THE_PAST}, {"pullkey": "k"}],
)
def test_row_that_changes_before_the_claim_is_left_to_the_grader(db, monkeypatch, change):
    """C131: one conditional UPDATE ends the row for upstream's graders."""
    row = make_row()
    read = edx_submissions._read

    def change_first(each: ExternalGraderDetail) -> NewSubmission:
        ExternalGraderDetail.objects.update(**change)
        return read(each)

    monkeypatch.setattr(edx_submissions, "_read", change_first)
    assert edx_submissions.import_rows() == Counter({"taken by a grader": 1})
    row.refresh_from_db()
    assert row.status != RETIRED
    assert not Submission.objects.exists()


def test_command_reports_what_is_left(db, capsys):
    make_row(1)
    make_row(2, status=PULLED, age=timedelta(0))
    make_row(3, status="failed")
    command = "xqueue_bridge_import_edx_submissions"
    call_command(command, "--dry-run")
    assert capsys.readouterr().out == (
        f"{COURSE}: 1 failed, 1 leased, 1 waiting in edx-submissions\n"
    )
    call_command(command, "--course", str(COURSE))
    assert capsys.readouterr().out == (
        f"1 imported\n{COURSE}: 1 failed, 1 leased in edx-submissions\n"
    )
    ExternalGraderDetail.objects.update(status=RETIRED)
    call_command(command, "--course", str(COURSE))
    assert capsys.readouterr().out == f"{COURSE}: 0 in flight in edx-submissions\n"
    with pytest.raises(CommandError):
        call_command(command, "--course", "no key")


def grade_upstream(stop: threading.Event, answered: Counter[int], slow: bool) -> None:
    """Pull and answer with upstream's models, as its views do, again after a deadlock."""

    def pull() -> ExternalGraderDetail | None:
        waiting = ExternalGraderDetail.objects.select_for_update().filter(
            status__in=(PENDING, "retry")
        )
        row = waiting.order_by("status_time").first()
        if row is not None:
            row.update_status(PULLED)
        return row

    def answer(row: ExternalGraderDetail) -> bool:
        held = ExternalGraderDetail.objects.select_for_update().get(pk=row.pk)
        is_held = bool(held.pullkey) and held.pullkey == row.pullkey
        if is_held:
            held.update_status(RETIRED)
        return is_held

    while not stop.is_set() and (row := in_transaction(pull)):
        stop.wait(random.random() * (0.05 if slow else 0.002))
        if in_transaction(partial(answer, row)):
            answered[row.pk] += 1
    connections.close_all()


def test_command_outside_of_the_platform_names_what_is_missing(db, monkeypatch):
    """Learners are looked up in a table of the platform; nothing is claimed without it."""
    monkeypatch.setattr(edx_submissions, "find_user_id", anonymous_ids.find_user_id)
    monkeypatch.setitem(sys.modules, "common", None)
    row = make_row()
    with pytest.raises(CommandError, match="in the LMS: .*common"):
        call_command("xqueue_bridge_import_edx_submissions")
    row.refresh_from_db()
    assert row.status == PENDING


def test_graders_go_on_during_the_import(transactional_db):
    """C131: each row is answered by upstream's grader or imported, and never both."""
    rows = [make_row(user_id) for user_id in range(1, 41)]
    stop, answered = threading.Event(), Counter[int]()
    graders = [
        threading.Thread(target=grade_upstream, args=(stop, answered, slow))
        for slow in (True, False)
    ]
    for grader in graders:
        grader.start()
    imported: Counter[str] = Counter()
    for _round in range(10):
        imported += edx_submissions.import_rows(limit=4)
    for grader in graders:
        grader.join(30)
    stop.set()
    imported += edx_submissions.import_rows()
    in_ours = {int(key[4:]) for key in Submission.objects.values_list("queue_key", flat=True)}
    by_graders = {rows.index(row) + 1 for row in rows if answered[row.pk]}
    assert in_ours | by_graders == set(range(1, 41))
    assert in_ours & by_graders == set()
    assert set(answered.values()) <= {1}
    assert imported["imported"] == Submission.objects.count() == queue.queue_length("python")
