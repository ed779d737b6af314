"""Removal of old finished submissions, with their replies, contents and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from tests.submission_queue.factories import (
    COURSE,
    PROBLEM,
    make_grader,
    new_submission,
    stored_files,
    upload,
)
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.submission_queue import cleanup, files, finish, prune
from xqueue_bridge.submission_queue.archive_models import ArchivedSubmission
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.prune import Selection, prune_archive, prune_submissions
from xqueue_bridge.submission_queue.queue import enqueue
from xqueue_bridge.submission_queue.regrades import enqueue_regrade
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(days=400)
OTHER_COURSE = CourseKey.from_string("course-v1:DemoX+Other+2026")


@pytest.fixture(autouse=True)
def empty_storage() -> Iterator[None]:
    """No file of another test is in the storage, and none stays there."""
    delete_stored_files()
    yield
    delete_stored_files()


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """Record the pauses between chunks and make none."""
    made: list[float] = []
    monkeypatch.setattr(prune.time, "sleep", made.append)
    return made


def delete_stored_files() -> None:
    for name in stored_files():
        files.delete_folder(name.rpartition("/")[0].removeprefix("./"))


def a_year_ago(course_key: CourseKey | None = None) -> Selection:
    return Selection(timezone.now() - timedelta(days=365), course_key)


def pruned(archive: bool = False, **options: Any) -> Counter[str]:
    selection = options.pop("selection", None) or a_year_ago()
    return sum(prune_submissions(selection, archive=archive, **options), Counter())


def finished(number: int = 1, *, age: timedelta = LONG_AGO, files: int = 0) -> list[int]:
    """Return the ids of new answered submissions whose replies are applied."""
    ids = []
    for _ in range(number):
        enqueue(new_submission(files=tuple(upload() for _ in range(files))))
        ids.append(Submission.objects.latest("pk").pk)
    at = timezone.now() - age
    Submission.objects.filter(pk__in=ids).update(
        status=Status.ANSWERED, available_at=None, due_at=None, finished_at=at
    )
    for pk in ids:
        reply = ReceivedReply.objects.create(
            submission_id=pk,
            source="put_result",
            body='{"correct": true}',
            message="<p>Good.</p>",
            digest="0" * 64,
            status="applied",
            received_at=at,
            score_given=1.0,
        )
        ScoreLedger.objects.create(
            idempotency_key=f"reply:{reply.pk}", user_id=7, course_key=COURSE, usage_key=PROBLEM,
            outcome="applied", created=at, modified=at,
        )  # fmt: skip
    return ids


class TestWhatIsPruned:
    def test_old_submission_leaves_every_table_with_its_files(self):
        finished(files=1)
        assert pruned() == Counter(submissions=1, replies=1, files=1)
        for model in (Submission, SubmissionContent, ReceivedReply, ArchivedSubmission):
            assert not model.objects.exists(), model
        assert not ScoreLedger.objects.exists()
        assert stored_files() == []

    def test_archive_keeps_texts_replies_and_files(self):
        (pk,) = finished(files=1)
        body = SubmissionContent.objects.get().body
        assert pruned(archive=True) == Counter(submissions=1, replies=1)
        assert not Submission.objects.exists()
        row = ArchivedSubmission.objects.get()
        assert (row.pk, row.body, row.status) == (pk, body, "answered")
        assert row.replies[0]["message"] == "<p>Good.</p>"
        assert row.replies[0]["score_given"] == 1.0
        assert [files.open_file(each).read() for each in row.stored_files()] == [b"print(1)"]

    def test_recent_submission_stays(self):
        finished(age=timedelta(days=300))
        assert pruned() == Counter()

    @pytest.mark.parametrize("status", ["pending", "dead"])
    def test_submission_whose_reply_is_open_stays(self, status):
        """A dead reply can be retried by an operator, and the learner has no grade yet."""
        finished()
        ReceivedReply.objects.update(status=status)
        assert pruned() == Counter()

    @pytest.mark.parametrize("status", ["stale", "rejected", "late"])
    def test_submission_whose_reply_was_not_applied_is_pruned(self, status):
        finished()
        ReceivedReply.objects.update(status=status)
        assert pruned()["submissions"] == 1

    @pytest.mark.parametrize("status", [Status.FAILED, Status.SUPERSEDED, Status.RETIRED])
    def test_finished_states_are_pruned(self, status):
        finished()
        Submission.objects.update(status=status)
        assert pruned()["submissions"] == 1

    @pytest.mark.parametrize("status", [Status.WAITING, Status.LEASED, Status.UNMATCHED])
    def test_open_and_unmatched_submissions_stay(self, status):
        """``purge_unmatched`` deletes unmatched submissions after an hour."""
        finished()
        Submission.objects.update(status=status)
        assert pruned() == Counter()

    def test_only_the_course_is_pruned(self):
        _, other = finished(2)
        Submission.objects.filter(pk=other).update(course_key=OTHER_COURSE)
        assert pruned(selection=a_year_ago(OTHER_COURSE))["submissions"] == 1
        assert Submission.objects.filter(pk=other).count() == 0
        assert Submission.objects.count() == 1

    def test_plan_has_the_same_counts(self):
        finished(3, files=2)
        finished(2, age=timedelta(0))
        plan = prune.submissions_to_prune(a_year_ago())
        assert plan == Counter(submissions=3, replies=3, files=6)
        assert pruned() == plan

    def test_late_result_of_a_pruned_submission_is_refused(self):
        grader = make_grader()
        enqueue(new_submission())
        pulled = grader.pull()
        assert grader.put(pulled.header)["return_code"] == 0
        Submission.objects.update(finished_at=timezone.now() - LONG_AGO)
        ReceivedReply.objects.update(status="applied", next_attempt_at=None)
        pruned()
        assert grader.put(pulled.header)["content"] == "Submission does not exist"


class TestChunks:
    def test_oldest_are_pruned_first_up_to_the_limit(self, monkeypatch):
        monkeypatch.setattr(prune, "CHUNK", 2)
        new = finished(3)
        old = finished(2, age=2 * LONG_AGO)
        assert pruned(limit=3)["submissions"] == 3
        assert set(Submission.objects.values_list("pk", flat=True)) == set(new[1:])
        assert not Submission.objects.filter(pk__in=old).exists()

    def test_most_of_the_time_no_chunk_is_removed(self, monkeypatch, pauses):
        """Graders' requests get the database between two chunks, on SQLite, too."""
        monkeypatch.setattr(prune, "CHUNK", 2)
        seconds = iter([0.0, 0.1, 10.0, 10.01, 20.0, 29.0, 30.0])
        monkeypatch.setattr(prune.time, "monotonic", lambda: next(seconds))
        finished(6)
        assert pruned()["submissions"] == 6
        assert pauses == [pytest.approx(0.3), prune.SHORTEST_PAUSE, prune.LONGEST_PAUSE]

    def test_sqlite_is_locked_for_few_rows_at_a_time(self, monkeypatch):
        monkeypatch.setattr(prune, "SQLITE_CHUNK", 2)
        finished(4)
        sizes = [done["submissions"] for done in prune_submissions(a_year_ago(), archive=False)]
        assert sizes == ([4] if connection.features.has_select_for_update else [2, 2])

    def test_long_texts_are_archived_in_more_transactions(self, monkeypatch):
        monkeypatch.setattr(prune, "CHUNK_CHARACTERS", 300)
        finished(6)
        counts = list(prune_submissions(a_year_ago(), archive=True))
        assert len(counts) > 1
        assert ArchivedSubmission.objects.count() == 6

    def test_submission_that_changes_meanwhile_stays(self, monkeypatch):
        """The transaction reads again what it removes."""
        (pk,) = finished()
        Submission.objects.update(status=Status.FAILED)
        ReceivedReply.objects.update(status="rejected")
        chunks = prune._chunks

        def requeue_then(*args: Any) -> Any:
            for ids in chunks(*args):
                finish.offer_again(ids, (Status.FAILED,))
                yield ids

        monkeypatch.setattr(prune, "_chunks", requeue_then)
        assert pruned() == Counter()
        assert Submission.objects.get().pk == pk

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(("archive", "expected"), [(False, 11), (True, 13)])
    def test_statements_of_a_chunk_do_not_grow_with_its_rows(self, archive, expected, monkeypatch):
        """1 finds the rows; BEGIN, 1 or 3 read and copy, 7 delete, COMMIT."""
        monkeypatch.setattr(prune, "CHUNK", 40)
        monkeypatch.setattr(prune, "SQLITE_CHUNK", 40)
        numbers = []
        for rows in (2, 40):
            finished(rows)
            with CaptureQueriesContext(connection) as queries:
                generator = prune_submissions(a_year_ago(), archive=archive, limit=rows)
                done = Counter[str]()
                for batch in generator:
                    done += batch
                    if done["submissions"] == rows:
                        break
                generator.close()
            assert done["submissions"] == rows
            numbers.append(len(queries) - 2)  # rows that a killed run has left: before and after
        assert numbers == [expected, expected]


class TestFiles:
    def test_file_that_cannot_be_deleted_is_deleted_by_the_next_run(self, monkeypatch):
        finished(files=1)
        with monkeypatch.context() as broken:
            broken.setattr(files, "_delete", lambda storage, name: False)
            assert pruned() == Counter({"submissions": 1, "replies": 1, "files left": 1})
        assert not Submission.objects.exists()
        row = ArchivedSubmission.objects.get()
        assert (row.is_deleted, row.header, row.body, row.replies) == (True, "", "", [])
        assert pruned() == Counter(files=1)
        assert not ArchivedSubmission.objects.exists()
        assert stored_files() == []

    def test_archived_files_are_no_stray_files(self):
        finished(files=1)
        pruned(archive=True)
        folder = ArchivedSubmission.objects.get().files_folder
        old = f"{timezone.now() - timedelta(days=3):%Y/%m/%d}/{'a' * 32}"
        name = files.store_file(upload(), old).storage_name
        ArchivedSubmission.objects.update(files_folder=old)
        assert cleanup.purge_stray_files() == 0
        assert name in [each.removeprefix("./") for each in stored_files()]
        assert folder != old


class TestArchive:
    def test_old_rows_are_deleted_with_their_files(self, monkeypatch):
        monkeypatch.setattr(prune, "CHUNK", 2)
        finished(5, files=2)
        pruned(archive=True)
        assert prune.archived_to_prune(a_year_ago()) == Counter(submissions=5, files=10)
        assert sum(prune_archive(a_year_ago()), Counter()) == Counter(submissions=5, files=10)
        assert not ArchivedSubmission.objects.exists()
        assert stored_files() == []

    def test_row_whose_file_cannot_be_deleted_is_emptied_once_and_deleted_by_the_next_run(
        self, monkeypatch
    ):
        finished(files=1)
        pruned(archive=True)
        with monkeypatch.context() as broken:
            broken.setattr(files, "_delete", lambda storage, name: False)
            done = sum(prune_archive(a_year_ago()), Counter())
            assert done == Counter({"submissions": 1, "files left": 1})
            assert prune.archived_to_prune(a_year_ago()) == Counter()
        row = ArchivedSubmission.objects.get()
        assert (row.header, row.body, row.replies) == ("", "", [])
        assert sum(prune_archive(a_year_ago()), Counter()) == Counter(files=1)
        assert not ArchivedSubmission.objects.exists()

    def test_archived_reply_of_a_retired_learner_loses_its_texts_only(self):
        finished()
        pruned(archive=True)
        [reply] = ArchivedSubmission.objects.get().replies
        [kept] = grader_replies.without_text([reply])
        assert reply.keys() - kept.keys() == {"body", "message", "tests", "staff_note"}

    def test_only_the_course_is_deleted(self):
        _, other = finished(2)
        Submission.objects.filter(pk=other).update(course_key=OTHER_COURSE)
        pruned(archive=True)
        assert prune.archived_to_prune(a_year_ago(OTHER_COURSE))["submissions"] == 1
        assert sum(prune_archive(a_year_ago(OTHER_COURSE)), Counter())["submissions"] == 1
        assert ArchivedSubmission.objects.get().course_key == COURSE

    def test_limit_and_age(self):
        finished(3)
        pruned(archive=True)
        assert sum(prune_archive(a_year_ago(), limit=2), Counter())["submissions"] == 2
        ArchivedSubmission.objects.update(finished_at=timezone.now())
        assert list(prune_archive(a_year_ago())) == []
        assert ArchivedSubmission.objects.count() == 1


def test_original_of_an_open_regrade_stays_with_its_files() -> None:
    """A grader that pulls the regrade fetches the original's files."""
    (original,) = finished(files=1)
    regrade = enqueue_regrade(original)
    assert regrade is not None
    assert pruned()["submissions"] == 0
    assert len(stored_files()) == 1
    regrade.status, regrade.finished_at = Status.ANSWERED, timezone.now() - LONG_AGO / 2
    regrade.available_at = regrade.due_at = None
    regrade.save()
    assert pruned()["submissions"] == 1
    assert stored_files() == []


def test_regrade_is_pruned_without_the_files_of_its_original() -> None:
    (original,) = finished(files=1)
    regrade = enqueue_regrade(original)
    assert regrade is not None
    Submission.objects.filter(pk=regrade.pk).update(
        status=Status.ANSWERED,
        available_at=None,
        due_at=None,
        finished_at=timezone.now() - LONG_AGO,
    )
    Submission.objects.filter(pk=original).update(finished_at=timezone.now())
    assert pruned(archive=True)["submissions"] == 1
    assert pruned() == Counter()
    assert len(stored_files()) == 1
