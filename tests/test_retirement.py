"""Retirement of a learner in every table, and replies that arrive afterwards."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from itertools import count

import pytest
from django.contrib.auth import get_user_model
from django.core.files.storage import storages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.grader_replies.factories import waiting_state
from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    OTHER_PROBLEM,
    PROBLEM,
    make_grader,
    new_submission,
)
from xqueue_bridge import models
from xqueue_bridge.data import RetirementMode, UploadedFile
from xqueue_bridge.db import batches
from xqueue_bridge.exceptions import RetirementUnfinished
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies import locks
from xqueue_bridge.learner_state import retirement as tombstones
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.api import UnknownLearner, is_retired
from xqueue_bridge.retirement import (
    retire_learner,
    retirement_batches,
    retirement_plan,
    unfinished_retirements,
)
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.states import Status

#: Part of each text from or about the learner.
TEXT = "tigerlily"
#: Tables with data about learners, and the lookup that selects one learner's rows.
TABLES: dict[type, str] = {
    models.StudentModule: "student_id",
    models.StudentModuleHistory: "student_id",
    models.StudentModuleHistoryExtended: "student_id",
    models.XModuleStudentPrefsField: "student_id",
    models.XModuleStudentInfoField: "student_id",
    models.Submission: "user_id",
    models.ArchivedSubmission: "user_id",
    models.SubmissionContent: "submission__user_id",
    models.ReceivedReply: "submission__user_id",
    models.ScoreLedger: "user_id",
    models.PersistentSubsectionGrade: "user_id",
    models.PersistentSubsectionGradeOverride: "grade__user_id",
    models.PersistentSubsectionGradeOverrideHistory: "user_id",
    models.PersistentCourseGrade: "user_id",
    models.GradeRecalculation: "user_id",
    models.GradeOutbox: "user_id",
    models.RegradeItem: "user_id",
}


@pytest.fixture
def ada(transactional_db) -> int:
    return get_user_model().objects.create_user("ada").pk


@pytest.fixture
def bob(ada) -> int:
    return get_user_model().objects.create_user("bob").pk


def send(user_id: int, queue_key: str, usage_key=PROBLEM, *, upload: bool = False) -> None:
    content = io.BytesIO(f"print('{TEXT}')".encode())
    uploads = (UploadedFile(f"{TEXT}.py", content, 18),) if upload else ()
    submission_queue.enqueue(
        new_submission(
            user_id=user_id,
            queue_key=queue_key,
            usage_key=usage_key,
            body=json.dumps({"student_response": TEXT}),
            files=uploads,
        )
    )
    state = waiting_state(loops_2_1=queue_key)
    state["student_answers"] = {"loops_2_1": TEXT}
    learner_state.save_fields(user_id, COURSE, usage_key, state)


def create_data_of(user_id: int) -> None:
    """Create rows of the learner in every table: two answers, one of them graded."""
    send(user_id, f"{user_id}-1", upload=True)
    grader = make_grader(name=f"grader of {user_id}")
    grader.put(
        grader.pull().header, json.dumps({"correct": True, "score": 1, "msg": f"<p>{TEXT}</p>"})
    )
    send(user_id, f"{user_id}-2", OTHER_PROBLEM, upload=True)
    now = timezone.now()
    about = {"student_id": user_id, "value": f'"{TEXT}"', "created": now, "modified": now}
    models.XModuleStudentPrefsField.objects.create(
        **about, field_name="voice", module_type="problem"
    )
    models.XModuleStudentInfoField.objects.create(**about, field_name="language")
    entry = models.StudentModuleHistory.objects.filter(student_id=user_id).values().first()
    models.StudentModuleHistoryExtended.objects.create(
        **{
            **entry,
            "id": None,
            "student_module_id": 10_000 + user_id,
        }  # of a deleted StudentModule row
    )
    archive_one_of(user_id)
    create_grades_of(user_id)
    create_regrade_of(user_id)


def create_regrade_of(user_id: int) -> None:
    """Create an item of a regrade that keeps the learner's previous feedback."""
    now = timezone.now()
    regrade = models.Regrade.objects.create(
        course_key=COURSE, scope="queue", created_at=now, released_until=now
    )
    models.RegradeItem.objects.create(
        regrade=regrade,
        original_id=1,
        user_id=user_id,
        usage_key=PROBLEM,
        kept_entry={"msg": TEXT},
        changed_at=now,
    )


def archive_one_of(user_id: int) -> None:
    """Archive a graded answer with a file."""
    now = timezone.now()
    stored = files.store_file(UploadedFile(f"{TEXT}.py", io.BytesIO(b"print(1)"), 8))
    models.ArchivedSubmission.objects.create(
        submission_id=1_000_000 + user_id,
        user_id=user_id,
        course_key=COURSE,
        usage_key=PROBLEM,
        queue_name="python",
        status=Status.ANSWERED,
        created_at=now,
        finished_at=now,
        header="{}",
        body=TEXT,
        files=[[stored.name, stored.storage_name, stored.size]],
        replies=[{"status": "applied", "body": TEXT, "message": TEXT, "score_given": 1.0}],
    )


def create_grades_of(user_id: int) -> None:
    """Create the learner's grade rows: an override, a course grade, a row of the outbox."""
    now = timezone.now()
    course = {"user_id": user_id, "course_id": COURSE}
    visible, _ = models.VisibleBlocks.objects.get_or_create(hashed="x", course_id=COURSE)
    points = dict.fromkeys(("earned_all", "possible_all", "earned_graded", "possible_graded"), 1)
    grade = models.PersistentSubsectionGrade.objects.create(
        **course, **points, usage_key=PROBLEM, visible_blocks=visible, created=now, modified=now
    )
    models.PersistentSubsectionGradeOverride.objects.create(
        grade=grade, override_reason=TEXT, created=now, modified=now
    )
    models.PersistentSubsectionGradeOverrideHistory.objects.create(
        **course, usage_key=PROBLEM, action="set", override_reason=TEXT, created=now
    )
    models.PersistentCourseGrade.objects.create(
        **course,
        percent_grade=1,
        exact_percent=1,
        passed=True,
        created=now,
        modified=now,
        computed_at=now,
    )
    models.GradeRecalculation.objects.get_or_create(**course)
    models.GradeOutbox.objects.create(**course, wanted_version=1, wanted_modified=now)


def rows_of(user_id: int) -> dict[str, list[dict]]:
    return {
        model.__name__: list(model.objects.filter(**{column: user_id}).order_by("pk").values())
        for model, column in TABLES.items()
    }


def numbers_of(user_id: int) -> list[tuple]:
    scores = models.StudentModule.objects.filter(student_id=user_id).order_by("pk")
    replies = models.ReceivedReply.objects.filter(submission__user_id=user_id).order_by("pk")
    return [
        *scores.values_list("pk", "grade", "max_grade", "created"),
        *replies.values_list("pk", "score_given", "score_applied", "applied_at"),
    ]


def stored_files() -> int:
    storage = storages["xqueue_bridge"]

    def walk(folder: str) -> int:
        folders, names = storage.listdir(folder)
        return len(names) + sum(walk(f"{folder}/{name}") for name in folders)

    return walk(".")


@pytest.fixture(autouse=True)
def _private_storage(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "xqueue_bridge": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path)},
        },
    }


def test_each_table_with_a_user_id_is_tested():
    """C125: each table with a reference to a learner is retired by these tests."""
    about_learners = {
        model
        for model in models.__dict__.values()
        if isinstance(model, type)
        and {"student", "student_id", "user_id", "submission", "content"}
        & {field.name for field in model._meta.get_fields() if not field.auto_created}
    }
    by_another = {models.SubmissionContent, models.PersistentSubsectionGradeOverride}
    assert about_learners | by_another == {*TABLES, models.RetiredLearner}


class TestScrub:
    def test_deletes_every_text_and_file(self, ada):
        """SG88: no table and no file contains an answer of the learner or feedback to them."""
        create_data_of(ada)
        assert TEXT in str(rows_of(ada))
        retire_learner(ada)
        assert TEXT not in str(rows_of(ada))
        assert stored_files() == 0
        assert learner_state.read_state(ada, PROBLEM, COURSE) is None

    def test_keeps_scores_and_times(self, ada):
        """SG88: rows, scores and times do not change."""
        create_data_of(ada)
        before = numbers_of(ada)
        assert any(1.0 in row for row in before)
        retire_learner(ada)
        assert numbers_of(ada) == before
        assert learner_state.read_score(ada, PROBLEM, COURSE) == learner_state.RawScore(1, 1)

    def test_history_entry_has_the_reason_retire(self, ada):
        create_data_of(ada)
        retire_learner(ada)
        entries = list(learner_state.read_history(ada, PROBLEM, COURSE))
        assert [entry.state for entry in entries] == [None] * len(entries)
        assert (entries[0].reason, entries[0].grade) == ("retire", 1)

    def test_returns_the_planned_counts(self, ada):
        create_data_of(ada)
        plan = retirement_plan(ada, "scrub")
        done = retire_learner(ada)
        assert plan == done
        counts = {"regrade items": 1, "states": 2, "history": 4, "fields": 2}
        counts |= {"submissions": 3, "replies": 2, "files": 3, "grades": 2}
        assert done == Counter(counts)

    def test_second_run_changes_no_row(self, ada):
        """SG88: a second run counts 0 rows and changes none."""
        create_data_of(ada)
        retire_learner(ada)
        before = rows_of(ada)
        assert retire_learner(ada) == Counter()
        assert rows_of(ada) == before

    def test_purge_after_scrub_deletes_the_rows(self, ada):
        create_data_of(ada)
        retire_learner(ada)
        retire_learner(ada, "purge")
        assert not any(rows_of(ada).values())


class TestPurge:
    def test_deletes_every_row_and_file(self, ada):
        """C125, SG88: no row and no file of the learner remains."""
        create_data_of(ada)
        assert all(rows_of(ada).values())
        retire_learner(ada, "purge")
        assert not any(rows_of(ada).values())
        assert stored_files() == 0
        assert not models.SubmissionContent.objects.exists()

    def test_deletes_history_despite_the_keep_setting(self, ada, settings):
        """SG88, SG32: HISTORY_KEEP_AFTER_DELETE does not keep a retired learner's history."""
        settings.XQUEUE_BRIDGE = {"HISTORY_KEEP_AFTER_DELETE": True}
        create_data_of(ada)
        retire_learner(ada, "purge")
        assert not any(rows_of(ada).values())

    def test_returns_the_planned_counts(self, ada):
        create_data_of(ada)
        plan = retirement_plan(ada, "purge")
        assert retire_learner(ada, "purge") == plan
        assert retirement_plan(ada, "purge") == Counter() == retire_learner(ada, "purge")

    def test_deletes_block_locks_of_killed_processes(self, ada):
        """C125: a block lock contains the user id, so it is deleted, too."""
        create_data_of(ada)
        lock = locks.block_lock(ada, PROBLEM)
        lock.__enter__()  # As if the process were killed here.
        assert models.BlockLock.objects.exists()
        retire_learner(ada, "purge")
        assert not models.BlockLock.objects.exists()


def test_second_retirement_is_unfinished_in_its_own_mode(ada):
    """SG88: the sweeper completes it, if it stops."""
    retire_learner(ada)
    assert tombstones.unfinished_retirements() == []
    tombstones.begin_retirement(ada, RetirementMode.PURGE)
    assert tombstones.unfinished_retirements() == [(ada, RetirementMode.PURGE)]


@pytest.mark.parametrize("mode", ["scrub", "purge"])
class TestBothModes:
    def test_data_of_another_learner_does_not_change(self, ada, bob, mode):
        """SG88: another learner's rows and files do not change."""
        create_data_of(ada)
        create_data_of(bob)
        before = rows_of(bob)
        plan = retirement_plan(ada, mode)
        assert retire_learner(ada, mode) == plan
        assert rows_of(bob) == before
        assert stored_files() == 3

    def test_submissions_leave_the_queue(self, ada, mode):
        """C125: the learner's submissions are neither pulled, requeued nor failed later."""
        create_data_of(ada)
        retire_learner(ada, mode)
        assert make_grader(name="last").pull() is None
        ids = list(models.Submission.objects.values_list("pk", flat=True))
        assert submission_queue.requeue(ids) == 0
        assert submission_queue.fail_exhausted() == 0

    def test_second_run_completes_a_stopped_one(self, ada, mode, monkeypatch):
        """SG88: a run that stopped after any batch is completed by the next one."""
        monkeypatch.setattr(batches.id_batches, "__defaults__", (1,))
        steps = count(1)
        create_data_of(ada)
        for stop_after in steps:
            run = retirement_batches(ada, mode)
            done = [1 for _ in zip(range(stop_after), run, strict=False)]
            run.close()
            if len(done) < stop_after:
                break
            assert unfinished_retirements() == [(ada, mode)]
        assert next(steps) > 3
        assert TEXT not in str(rows_of(ada))
        assert stored_files() == 0
        assert unfinished_retirements() == []

    @pytest.mark.parametrize(
        "where",
        [
            "xqueue_bridge.submission_queue.files.delete_files",
            "xqueue_bridge.grader_replies.api.scrub_replies",
            "xqueue_bridge.grader_replies.api.retire_locks",
            "xqueue_bridge.learner_state.retirement._fields",
            "xqueue_bridge.learner_state.retirement._states",
        ],
    )
    def test_second_run_completes_an_aborted_one(self, ada, mode, where):
        """SG88: a run that was aborted in any part is completed by the next one."""
        create_data_of(ada)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, lambda *args: (_ for _ in ()).throw(SystemExit()))
            with pytest.raises(SystemExit):
                retire_learner(ada, mode)
        assert unfinished_retirements() == [(ada, mode)]
        retire_learner(ada, mode)
        assert TEXT not in str(rows_of(ada))
        assert stored_files() == 0
        assert unfinished_retirements() == []

    def test_file_is_deleted_later_if_the_storage_fails(self, ada, mode, monkeypatch):
        """SG88: if the storage fails, the rows are retired, and the next run deletes the file."""
        create_data_of(ada)
        with monkeypatch.context() as patch:
            patch.setattr(files, "_delete", lambda storage, name: False)
            with pytest.raises(RetirementUnfinished, match="3 files"):
                retire_learner(ada, mode)
        assert TEXT not in str(rows_of(ada))
        assert unfinished_retirements() == [(ada, mode)]
        assert retire_learner(ada, mode)["files"] == 3
        assert stored_files() == 0
        assert unfinished_retirements() == []
        assert bool(models.Submission.objects.count()) == (mode == "scrub")

    def test_learner_without_account_is_retired_by_id(self, ada, mode):
        """SG88: the platform may delete the account first; the bridge's rows have the user id."""
        create_data_of(ada)
        get_user_model().objects.all().delete()
        retire_learner(ada, mode)
        assert TEXT not in str(rows_of(ada))
        assert retire_learner(ada, mode) == Counter()

    def test_learner_without_rows_gets_a_tombstone(self, ada, mode):
        assert retire_learner(ada, mode) == Counter()
        assert is_retired(ada)


@pytest.mark.django_db(transaction=True, databases=["default", "history"])
@pytest.mark.parametrize("mode", ["scrub", "purge"])
def test_history_in_another_database(mode, settings):
    """SG32, SG88: history is retired in the history database and in the default one."""
    ada = get_user_model().objects.create_user("ada").pk
    create_data_of(ada)  # creates entries in both tables of the default database
    settings.XQUEUE_BRIDGE = {"HISTORY_EXTENDED": True, "HISTORY_DATABASE": "history"}
    learner_state.save_fields(ada, COURSE, PROBLEM, {"answer": TEXT})
    extended, plain = models.StudentModuleHistoryExtended, models.StudentModuleHistory
    trails = [
        plain.objects.using("default"),
        extended.objects.using("default"),
        extended.objects.using("history"),
    ]
    assert all(TEXT in str(list(trail.values("state"))) for trail in trails)
    retire_learner(ada, mode)
    assert not any(TEXT in str(list(trail.values("state"))) for trail in trails)
    assert any(trail.exists() for trail in trails) == (mode == "scrub")


class TestLateReplies:
    def leased(self, user_id: int):
        send(user_id, "key-1")
        grader = make_grader()
        return grader, grader.pull()

    def test_result_is_acknowledged_and_rejected(self, ada):
        """SG89: the grader gets success; the reply is stored as rejected, without its text."""
        grader, pulled = self.leased(ada)
        retire_learner(ada)
        assert grader.put(pulled.header) == {"return_code": 0, "content": ""}
        reply = models.ReceivedReply.objects.get()
        assert (reply.status, reply.body) == ("rejected", "")
        assert models.Submission.objects.get().status == Status.RETIRED
        grader_replies.apply_due()
        assert learner_state.read_state(ada, PROBLEM, COURSE) is None

    def test_repeated_result_is_stored_once(self, ada):
        """C87, SG89: the same result posted twice gets success twice and is stored once."""
        grader, pulled = self.leased(ada)
        retire_learner(ada)
        assert [grader.put(pulled.header)["return_code"] for _ in range(2)] == [0, 0]
        assert models.ReceivedReply.objects.count() == 1

    def test_result_with_a_wrong_pull_key_is_an_error(self, ada):
        """C85, SG89: the pull key is also checked for a retired learner's submission."""
        grader, pulled = self.leased(ada)
        retire_learner(ada)
        header = json.dumps({"submission_id": pulled.submission_id, "submission_key": "guessed"})
        assert grader.put(header)["return_code"] == 1
        assert not models.ReceivedReply.objects.exists()

    def test_result_after_a_purge_is_an_error(self, ada):
        """SG89: after a purge the submission of the result does not exist."""
        grader, pulled = self.leased(ada)
        retire_learner(ada, "purge")
        assert grader.put(pulled.header)["content"] == "Submission does not exist"
        assert not any(rows_of(ada).values())

    def test_pending_reply_is_dead_without_its_text(self, ada):
        """SG89: a reply that was stored before the retirement becomes dead and empty."""
        submission_queue.enqueue(new_submission(user_id=ada))
        grader = make_grader()
        grader.put(grader.pull().header)  # before the state is saved, so the reply is pending
        retire_learner(ada)
        grader_replies.apply_due()
        reply = models.ReceivedReply.objects.get()
        assert (reply.status, reply.body, reply.next_attempt_at) == ("dead", "", None)

    def test_reply_to_a_deleted_account_becomes_dead(self, ada):
        """SG89: without a retirement, a reply to a deleted account is acknowledged, then dead."""
        grader, pulled = self.leased(ada)
        get_user_model().objects.all().delete()
        assert grader.put(pulled.header)["return_code"] == 0
        for _ in range(5):
            models.ReceivedReply.objects.filter(next_attempt_at__isnull=False).update(
                next_attempt_at=timezone.now()
            )
            grader_replies.apply_due()
        assert models.ReceivedReply.objects.get().status == "dead"
        assert not models.StudentModule.objects.exists()

    def callback(self, client, user_id: int, queue_key: str = "key-1"):
        header = json.dumps({"lms_key": queue_key, "queue_name": "python"})
        return client.post(
            f"/courses/{COURSE}/xqueue/{user_id}/{PROBLEM}/score_update",
            {"xqueue_header": header, "xqueue_body": GOOD_REPLY},
        )

    @pytest.mark.parametrize("mode", ["scrub", "purge"])
    def test_callback_is_acknowledged_and_counted(self, client, ada, mode):
        """SG89: a callback gets status 200, so that the server stops; it is counted, not stored."""
        learner_state.save_fields(ada, COURSE, PROBLEM, waiting_state(loops_2_1="key-1"))
        retire_learner(ada, mode)
        response = self.callback(client, ada)
        assert (response.status_code, "rejected" in response.text) == (200, True)
        assert models.RetiredLearner.objects.get().late_replies == 1
        assert not models.Submission.objects.exists()
        assert learner_state.read_state(ada, PROBLEM, COURSE) is None

    def test_callback_for_a_stored_submission_is_rejected_once(self, client, ada):
        """SG89: if its submission is stored, the callback's reply is stored once, as rejected."""
        learner_state.save_fields(ada, COURSE, PROBLEM, waiting_state(loops_2_1="key-1"))
        self.callback(client, ada)
        retire_learner(ada)
        for _ in range(2):
            assert self.callback(client, ada).status_code == 200
        replies = models.ReceivedReply.objects.order_by("pk")
        assert [(r.status, r.body) for r in replies] == [("applied", ""), ("rejected", "")]

    def test_callback_for_a_deleted_account(self, client, ada):
        """SG89: the reply is rejected if its submission is stored; otherwise the status is 404."""
        learner_state.save_fields(ada, COURSE, PROBLEM, waiting_state(loops_2_1="key-1"))
        self.callback(client, ada)
        get_user_model().objects.all().delete()
        assert self.callback(client, ada).status_code == 200
        assert models.ReceivedReply.objects.order_by("pk").last().status == "rejected"
        assert self.callback(client, ada, "key-2").status_code == 404
        assert not models.StudentModule.objects.exists()


@pytest.mark.parametrize(
    "call", [retire_learner, lambda user_id: retirement_plan(user_id, "scrub")]
)
def test_unknown_user_id_is_an_error(ada, call: Callable[[int], object]):
    """A mistyped id must not get a tombstone: a later learner may get that id."""
    with pytest.raises(UnknownLearner):
        call(ada + 1)
    assert not models.RetiredLearner.objects.exists()


def test_unknown_mode_is_an_error(ada):
    with pytest.raises(ValueError, match="shred"):
        retire_learner(ada, "shred")
    assert not models.RetiredLearner.objects.exists()


@pytest.mark.parametrize("mode", ["scrub", "purge"])
def test_statements_do_not_grow_with_the_rows(ada, bob, mode):
    """SG88: the number of statements of a batch does not depend on its number of rows."""
    used = []
    for user_id, number in ((ada, 2), (bob, 12)):
        for n in range(number):
            usage_key = PROBLEM.replace(block_id=f"block{n}")
            send(user_id, f"{user_id}-{n}", usage_key)
        with CaptureQueriesContext(connection) as queries:
            retire_learner(user_id, mode)
        used.append(len(queries))
    assert used[0] == used[1]
