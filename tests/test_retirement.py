"""A learner is forgotten, in every room."""

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
from xqueue_bridge.data import UploadedFile
from xqueue_bridge.db import batches
from xqueue_bridge.exceptions import RetirementUnfinished
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.grader_replies import locks
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.retirement import (
    retire_learner,
    retirement_batches,
    retirement_plan,
    unfinished_retirements,
)
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.states import Status

#: In everything that the learner wrote, or that was said about it.
WORD = "tigerlily"
#: What may speak of learners, and how its rows are narrowed to one.
TABLES: dict[type, str] = {
    models.StudentModule: "student_id",
    models.StudentModuleHistory: "student_id",
    models.StudentModuleHistoryExtended: "student_id",
    models.XModuleStudentPrefsField: "student_id",
    models.XModuleStudentInfoField: "student_id",
    models.Submission: "user_id",
    models.SubmissionContent: "submission__user_id",
    models.ReceivedReply: "submission__user_id",
    models.ScoreLedger: "user_id",
    models.PersistentSubsectionGrade: "user_id",
    models.PersistentSubsectionGradeOverride: "grade__user_id",
    models.PersistentSubsectionGradeOverrideHistory: "user_id",
    models.PersistentCourseGrade: "user_id",
    models.GradeRecalculation: "user_id",
    models.GradeOutbox: "user_id",
}


@pytest.fixture
def ada(transactional_db) -> int:
    return get_user_model().objects.create_user("ada").pk


@pytest.fixture
def bob(ada) -> int:
    return get_user_model().objects.create_user("bob").pk


def send(user_id: int, queue_key: str, usage_key=PROBLEM, *, upload: bool = False) -> None:
    content = io.BytesIO(f"print('{WORD}')".encode())
    uploads = (UploadedFile(f"{WORD}.py", content, 18),) if upload else ()
    submission_queue.enqueue(
        new_submission(
            user_id=user_id,
            queue_key=queue_key,
            usage_key=usage_key,
            body=json.dumps({"student_response": WORD}),
            files=uploads,
        )
    )
    state = waiting_state(loops_2_1=queue_key)
    state["student_answers"] = {"loops_2_1": WORD}
    learner_state.save_fields(user_id, COURSE, usage_key, state)


def live(user_id: int) -> None:
    """The learner answers, is graded, answers again; and leaves traces in every table."""
    send(user_id, f"{user_id}-1", upload=True)
    grader = make_grader(name=f"grader of {user_id}")
    grader.put(
        grader.pull().header, json.dumps({"correct": True, "score": 1, "msg": f"<p>{WORD}</p>"})
    )
    send(user_id, f"{user_id}-2", OTHER_PROBLEM, upload=True)
    now = timezone.now()
    about = {"student_id": user_id, "value": f'"{WORD}"', "created": now, "modified": now}
    models.XModuleStudentPrefsField.objects.create(
        **about, field_name="voice", module_type="problem"
    )
    models.XModuleStudentInfoField.objects.create(**about, field_name="language")
    entry = models.StudentModuleHistory.objects.filter(student_id=user_id).values().first()
    models.StudentModuleHistoryExtended.objects.create(
        **{**entry, "id": None, "student_module_id": 10_000 + user_id}  # of a row that is gone
    )
    be_graded(user_id)


def be_graded(user_id: int) -> None:
    """A course grade is kept, told of, and a teacher has a word in it."""
    now = timezone.now()
    course = {"user_id": user_id, "course_id": COURSE}
    seen, _ = models.VisibleBlocks.objects.get_or_create(hashed="x", course_id=COURSE)
    points = dict.fromkeys(("earned_all", "possible_all", "earned_graded", "possible_graded"), 1)
    grade = models.PersistentSubsectionGrade.objects.create(
        **course, **points, usage_key=PROBLEM, visible_blocks=seen, created=now, modified=now
    )
    models.PersistentSubsectionGradeOverride.objects.create(
        grade=grade, override_reason=WORD, created=now, modified=now
    )
    models.PersistentSubsectionGradeOverrideHistory.objects.create(
        **course, usage_key=PROBLEM, action="set", override_reason=WORD, created=now
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


def test_every_table_about_learners_is_covered():
    """C125: a table that points at a learner is retired, or says why it is not."""
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
    def test_no_text_is_left(self, ada):
        """SG88: nothing that the learner wrote, or was told, is left in any table or file."""
        live(ada)
        assert WORD in str(rows_of(ada))
        retire_learner(ada)
        assert WORD not in str(rows_of(ada))
        assert stored_files() == 0
        assert learner_state.read_state(ada, PROBLEM, COURSE) is None

    def test_numbers_are_kept(self, ada):
        """SG88: rows, scores and times are what they were."""
        live(ada)
        before = numbers_of(ada)
        assert any(1.0 in row for row in before)
        retire_learner(ada)
        assert numbers_of(ada) == before
        assert learner_state.read_score(ada, PROBLEM, COURSE) == learner_state.RawScore(1, 1)

    def test_the_history_says_so(self, ada):
        live(ada)
        retire_learner(ada)
        entries = list(learner_state.history(ada, PROBLEM, COURSE))
        assert [entry.state for entry in entries] == [None] * len(entries)
        assert (entries[0].reason, entries[0].grade) == ("retire", 1)

    def test_it_says_what_it_did(self, ada):
        live(ada)
        plan = retirement_plan(ada, "scrub")
        done = retire_learner(ada)
        assert plan == done
        assert done == Counter(
            states=2, history=4, fields=2, submissions=2, replies=1, files=2, grades=2
        )

    def test_twice(self, ada):
        """SG88: a second run finds nothing and changes nothing."""
        live(ada)
        retire_learner(ada)
        before = rows_of(ada)
        assert retire_learner(ada) == Counter()
        assert rows_of(ada) == before

    def test_after_it_purge(self, ada):
        live(ada)
        retire_learner(ada)
        retire_learner(ada, "purge")
        assert not any(rows_of(ada).values())


class TestPurge:
    def test_nothing_is_left(self, ada):
        """C125, SG88: every row and every file of the learner is gone."""
        live(ada)
        assert all(rows_of(ada).values())
        retire_learner(ada, "purge")
        assert not any(rows_of(ada).values())
        assert stored_files() == 0
        assert not models.SubmissionContent.objects.exists()

    def test_what_was_to_stay_after_a_deletion_goes_too(self, ada, settings):
        """SG88, SG32: the policy for deleted rows keeps no retired learner's history."""
        settings.XQUEUE_BRIDGE = {"HISTORY_KEEP_AFTER_DELETE": True}
        live(ada)
        retire_learner(ada, "purge")
        assert not any(rows_of(ada).values())

    def test_it_says_what_it_did(self, ada):
        live(ada)
        plan = retirement_plan(ada, "purge")
        assert retire_learner(ada, "purge") == plan
        assert retirement_plan(ada, "purge") == Counter() == retire_learner(ada, "purge")

    def test_turns_that_were_lost(self, ada):
        """C125: whose turn it was says who was here."""
        live(ada)
        lock = locks.block_lock(ada, PROBLEM)
        lock.__enter__()  # and the process is killed
        assert models.BlockLock.objects.exists()
        retire_learner(ada, "purge")
        assert not models.BlockLock.objects.exists()


@pytest.mark.parametrize("mode", ["scrub", "purge"])
class TestEitherWay:
    def test_others_keep_theirs(self, ada, bob, mode):
        """SG88: another learner's rows and files are what they were."""
        live(ada)
        live(bob)
        before = rows_of(bob)
        retire_learner(ada, mode)
        assert rows_of(bob) == before
        assert stored_files() == 2

    def test_graders_do_not_meet_it(self, ada, mode):
        """C125: nothing of the learner's is pulled, offered again, or given up later."""
        live(ada)
        retire_learner(ada, mode)
        assert make_grader(name="last").pull() is None
        ids = list(models.Submission.objects.values_list("pk", flat=True))
        assert submission_queue.requeue(ids) == 0
        assert submission_queue.fail_exhausted() == 0

    def test_interrupted_anywhere(self, ada, mode, monkeypatch):
        """SG88: stopped after any batch, or within one, another run finishes it."""
        monkeypatch.setattr(batches.id_batches, "__defaults__", (1,))
        steps = count(1)
        live(ada)
        for stop_after in steps:
            run = retirement_batches(ada, mode)
            done = [1 for _ in zip(range(stop_after), run, strict=False)]
            run.close()
            if len(done) < stop_after:
                break
            assert unfinished_retirements() == [(ada, mode)]
        assert next(steps) > 3
        assert WORD not in str(rows_of(ada))
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
    def test_the_process_dies(self, ada, mode, where):
        """SG88: whichever part it dies in, another run finishes it."""
        live(ada)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, lambda *args: (_ for _ in ()).throw(SystemExit()))
            with pytest.raises(SystemExit):
                retire_learner(ada, mode)
        assert unfinished_retirements() == [(ada, mode)]
        retire_learner(ada, mode)
        assert WORD not in str(rows_of(ada))
        assert stored_files() == 0
        assert unfinished_retirements() == []

    def test_a_file_that_cannot_be_removed(self, ada, mode, monkeypatch):
        """SG88: the storage is down; the rest is forgotten, the file is not lost sight of."""
        live(ada)
        with monkeypatch.context() as patch:
            patch.setattr(files, "_delete", lambda storage, name: False)
            with pytest.raises(RetirementUnfinished, match="2 files"):
                retire_learner(ada, mode)
        assert WORD not in str(rows_of(ada))
        assert unfinished_retirements() == [(ada, mode)]
        assert retire_learner(ada, mode)["files"] == 2
        assert stored_files() == 0
        assert unfinished_retirements() == []
        assert bool(models.Submission.objects.count()) == (mode == "scrub")

    def test_an_account_that_is_gone(self, ada, mode):
        """SG88: the platform may delete the account first; what we keep has the id."""
        live(ada)
        get_user_model().objects.all().delete()
        retire_learner(ada, mode)
        assert WORD not in str(rows_of(ada))
        assert retire_learner(ada, mode) == Counter()

    def test_nothing_to_forget(self, ada, mode):
        assert retire_learner(ada, mode) == Counter()
        assert learner_state.is_retired(ada)


@pytest.mark.django_db(transaction=True, databases=["default", "history"])
@pytest.mark.parametrize("mode", ["scrub", "purge"])
def test_history_in_another_database(mode, settings):
    """SG32, SG88: history is forgotten there, and where it was before it moved there."""
    ada = get_user_model().objects.create_user("ada").pk
    live(ada)  # leaves entries in both tables of the first database
    settings.XQUEUE_BRIDGE = {"HISTORY_EXTENDED": True, "HISTORY_DATABASE": "history"}
    learner_state.save_fields(ada, COURSE, PROBLEM, {"answer": WORD})
    extended, plain = models.StudentModuleHistoryExtended, models.StudentModuleHistory
    trails = [
        plain.objects.using("default"),
        extended.objects.using("default"),
        extended.objects.using("history"),
    ]
    assert all(WORD in str(list(trail.values("state"))) for trail in trails)
    retire_learner(ada, mode)
    assert not any(WORD in str(list(trail.values("state"))) for trail in trails)
    assert any(trail.exists() for trail in trails) == (mode == "scrub")


class TestLateReplies:
    def leased(self, user_id: int):
        send(user_id, "key-1")
        grader = make_grader()
        return grader, grader.pull()

    def test_from_a_grader(self, ada):
        """SG89: acknowledged, recorded as rejected and without its text; nothing is restored."""
        grader, handed = self.leased(ada)
        retire_learner(ada)
        assert grader.put(handed.header) == {"return_code": 0, "content": ""}
        reply = models.ReceivedReply.objects.get()
        assert (reply.status, reply.body) == ("rejected", "")
        assert models.Submission.objects.get().status == Status.RETIRED
        grader_replies.apply_due()
        assert learner_state.read_state(ada, PROBLEM, COURSE) is None

    def test_from_a_grader_twice(self, ada):
        """C87, SG89: acknowledged twice, recorded once."""
        grader, handed = self.leased(ada)
        retire_learner(ada)
        assert [grader.put(handed.header)["return_code"] for _ in range(2)] == [0, 0]
        assert models.ReceivedReply.objects.count() == 1

    def test_from_a_grader_with_another_key(self, ada):
        """C85, SG89: retirement opens no door."""
        grader, handed = self.leased(ada)
        retire_learner(ada)
        header = json.dumps({"submission_id": handed.submission_id, "submission_key": "guessed"})
        assert grader.put(header)["return_code"] == 1
        assert not models.ReceivedReply.objects.exists()

    def test_from_a_grader_after_a_purge(self, ada):
        """SG89: there is nothing left that the reply could belong to."""
        grader, handed = self.leased(ada)
        retire_learner(ada, "purge")
        assert grader.put(handed.header)["content"] == "Submission does not exist"
        assert not any(rows_of(ada).values())

    def test_stored_and_not_yet_delivered(self, ada):
        """SG89: it is dead, and its text is gone."""
        submission_queue.enqueue(new_submission(user_id=ada))
        grader = make_grader()
        grader.put(grader.pull().header)  # before the state is saved, so it waits
        retire_learner(ada)
        grader_replies.apply_due()
        reply = models.ReceivedReply.objects.get()
        assert (reply.status, reply.body, reply.next_attempt_at) == ("dead", "", None)

    def test_to_an_account_that_is_gone(self, ada):
        """SG89: without a retirement, too, a reply to nobody is acknowledged and ends dead."""
        grader, handed = self.leased(ada)
        get_user_model().objects.all().delete()
        assert grader.put(handed.header)["return_code"] == 0
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
    def test_from_a_queue_server(self, client, ada, mode):
        """SG89: acknowledged, so that the server stops; counted, and not stored."""
        learner_state.save_fields(ada, COURSE, PROBLEM, waiting_state(loops_2_1="key-1"))
        retire_learner(ada, mode)
        response = self.callback(client, ada)
        assert (response.status_code, "rejected" in response.text) == (200, True)
        assert models.RetiredLearner.objects.get().late_replies == 1
        assert not models.Submission.objects.exists()
        assert learner_state.read_state(ada, PROBLEM, COURSE) is None

    def test_from_a_queue_server_for_the_second_time(self, client, ada):
        """SG89: where there is a row for it, it is recorded there as rejected, once."""
        learner_state.save_fields(ada, COURSE, PROBLEM, waiting_state(loops_2_1="key-1"))
        self.callback(client, ada)
        retire_learner(ada)
        for _ in range(2):
            assert self.callback(client, ada).status_code == 200
        replies = models.ReceivedReply.objects.order_by("pk")
        assert [(r.status, r.body) for r in replies] == [("applied", ""), ("rejected", "")]

    def test_from_a_queue_server_to_an_account_that_is_gone(self, client, ada):
        """SG89: with a row of ours it is recorded there; without one nobody is known."""
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
def test_an_id_that_nobody_has(ada, call: Callable[[int], object]):
    """A mistyped id does not turn away the learner who will get it."""
    with pytest.raises(learner_state.UnknownLearner):
        call(ada + 1)
    assert not models.RetiredLearner.objects.exists()


def test_an_unknown_mode(ada):
    with pytest.raises(ValueError, match="shred"):
        retire_learner(ada, "shred")
    assert not models.RetiredLearner.objects.exists()


@pytest.mark.parametrize("mode", ["scrub", "purge"])
def test_statements_do_not_grow_with_the_rows(ada, bob, mode):
    """SG88: a batch is a fixed number of statements, however many rows are in it."""
    used = []
    for user_id, number in ((ada, 2), (bob, 12)):
        for n in range(number):
            usage_key = PROBLEM.replace(block_id=f"block{n}")
            send(user_id, f"{user_id}-{n}", usage_key)
        with CaptureQueriesContext(connection) as queries:
            retire_learner(user_id, mode)
        used.append(len(queries))
    assert used[0] == used[1]
