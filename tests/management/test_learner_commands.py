"""The commands that retire, reset and delete, called with an operator's arguments."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError

from tests.commands import output_of
from tests.grader_replies.factories import waiting_state
from tests.submission_queue.factories import COURSE, PROBLEM, new_submission
from xqueue_bridge import models
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.api import begin_retirement
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import files

pytestmark = pytest.mark.django_db

RETIRE = "xqueue_bridge_retire_learner"
RESET = "xqueue_bridge_reset_attempts"
DELETE = "xqueue_bridge_delete_state"
DEPRECATED_KEY = "i4x://DemoX/CS101/problem/loops"
OLD_COURSE = "DemoX/CS101/2026"


@pytest.fixture
def ada() -> int:
    return make_learner("ada")


@pytest.fixture
def bob() -> int:
    return make_learner("bob")


def make_learner(name: str) -> int:
    """Return a learner whose answer waits for a grader."""
    user_id = get_user_model().objects.create_user(name).pk
    submission_queue.enqueue(new_submission(user_id=user_id, queue_key=name))
    learner_state.save_fields(
        user_id, COURSE, PROBLEM, {**waiting_state(loops_2_1=name), "attempts": 2}
    )
    learner_state.set_score(user_id, COURSE, PROBLEM, 1, 1)
    return user_id


def state_of(user_id: int) -> dict | None:
    return learner_state.read_state(user_id, PROBLEM, COURSE)


class TestRetire:
    def test_scrub_is_the_default_mode(self, ada, bob):
        """C125: remove texts, keep numbers, and leave other learners unchanged."""
        assert output_of(RETIRE, "ada") == (
            f"user {ada}: scrub: 2 history, 1 states, 1 submissions"
        )
        assert state_of(ada) is None
        assert learner_state.read_score(ada, PROBLEM, COURSE).earned == 1
        assert state_of(bob) is not None

    def test_purge_deletes_the_rows_of_each_named_learner(self, ada, bob):
        output_of(RETIRE, "ada", "--user-id", str(bob), "--purge")
        assert not models.StudentModule.objects.exists()
        assert not models.Submission.objects.exists()

    def test_second_retirement_prints_nothing_to_do(self, ada):
        """SG88: retire nothing in a second run, and print that."""
        output_of(RETIRE, "ada")
        assert output_of(RETIRE, "ada") == f"user {ada}: scrub: nothing"

    def test_dry_run_prints_counts_and_changes_nothing(self, ada):
        output = output_of(RETIRE, "ada", "--dry-run", "--purge")
        assert output == f"user {ada}: would purge 1 grades, 2 history, 1 states, 1 submissions"
        assert state_of(ada)["attempts"] == 2
        assert not models.RetiredLearner.objects.exists()

    def test_unfinished_continues_interrupted_retirements(self, ada, bob):
        """SG88: finish each interrupted retirement in its own mode."""
        begin_retirement(ada, "purge")
        begin_retirement(bob, "scrub")
        output_of(RETIRE, "--unfinished")
        assert state_of(ada) is state_of(bob) is None
        assert list(models.StudentModule.objects.values_list("student_id", flat=True)) == [bob]
        assert output_of(RETIRE, "--unfinished") == ""

    def test_deleted_account_needs_user_id(self, ada):
        get_user_model().objects.all().delete()
        with pytest.raises(CommandError, match="Unknown user 'ada'.*--user-id"):
            output_of(RETIRE, "ada")
        assert "1 submissions" in output_of(RETIRE, "--user-id", str(ada))

    def test_failure_of_one_learner_does_not_stop_the_others(self, ada, monkeypatch):
        with pytest.raises(CommandError, match=f"Not retired: {ada + 1}"):
            output_of(RETIRE, "--user-id", str(ada + 1), "--user-id", str(ada))
        assert state_of(ada) is None

    def test_file_that_cannot_be_removed_is_an_error(self, ada, monkeypatch):
        models.SubmissionContent.objects.update(files=[["a.py", "2026/a", 1]])
        monkeypatch.setattr(files, "_delete", lambda storage, name: False)
        with pytest.raises(CommandError, match=f"Not retired: {ada}. Run it again"):
            output_of(RETIRE, "ada")

    def test_interrupted_retirement_is_an_error_that_asks_to_repeat(self, ada, monkeypatch):
        monkeypatch.setattr(files, "delete_files", interrupt)
        models.SubmissionContent.objects.update(files=[["a.py", "2026/a", 1]])
        with pytest.raises(CommandError, match="Interrupted: nothing; run it again"):
            output_of(RETIRE, "ada")

    @pytest.mark.parametrize("words", [[], ["--purge"], ["--dry-run"]])
    def test_no_learner_is_an_error(self, words):
        with pytest.raises(CommandError, match="At least one username"):
            output_of(RETIRE, *words)

    @pytest.mark.parametrize("user_id", ["x", "-1", "1.5", "9" * 30])
    def test_invalid_user_id_is_an_error(self, user_id):
        with pytest.raises(CommandError, match="is not a whole number"):
            output_of(RETIRE, f"--user-id={user_id}")


class TestReset:
    def test_reset_of_a_named_learner_changes_no_other_learner(self, ada, bob):
        """SG48: set the attempts of one learner to 0."""
        assert output_of(RESET, str(PROBLEM), "ada") == "1 of 1 learners reset"
        assert state_of(ada)["attempts"] == 0
        assert state_of(bob)["attempts"] == 2
        assert learner_state.read_score(ada, PROBLEM, COURSE).earned == 1

    def test_everyone_resets_each_learner_once(self, ada, bob):
        assert output_of(RESET, str(PROBLEM), "--everyone", "--dry-run") == (
            "2 of 2 learners would be reset"
        )
        assert state_of(ada)["attempts"] == 2
        assert output_of(RESET, str(PROBLEM), "--everyone") == "2 of 2 learners reset"
        assert output_of(RESET, str(PROBLEM), "--everyone") == "0 of 2 learners reset"
        assert state_of(ada)["attempts"] == state_of(bob)["attempts"] == 0

    def test_everyone_with_a_username_is_an_error(self, ada):
        with pytest.raises(CommandError, match="cannot be used with usernames"):
            output_of(RESET, str(PROBLEM), "ada", "--everyone")

    def test_interrupted_reset_prints_the_remaining_learners(self, ada, bob, monkeypatch):
        from xqueue_bridge.management.commands.xqueue_bridge_reset_attempts import Command

        monkeypatch.setattr(Command, "perform", interrupt)
        with pytest.raises(CommandError, match="Interrupted: 0 reset, 1 not tried"):
            output_of(RESET, str(PROBLEM), "--everyone")


class TestDelete:
    def test_delete_of_a_named_learner_supersedes_the_submission(self, ada, bob):
        """C124, SG48: delete state and score, and supersede the submission, of one learner."""
        assert (
            output_of(DELETE, str(PROBLEM), "ada", "--dry-run")
            == "1 of 1 learners would be deleted"
        )
        assert output_of(DELETE, str(PROBLEM), "ada") == "1 of 1 learners deleted"
        assert state_of(ada) is None
        assert state_of(bob) is not None
        open_ones = models.Submission.objects.filter(available_at__isnull=False)
        assert [submission.user_id for submission in open_ones] == [bob]

    def test_second_delete_finds_nothing(self, ada):
        output_of(DELETE, str(PROBLEM), "ada")
        assert (
            output_of(DELETE, str(PROBLEM), "ada", "--dry-run")
            == "0 of 1 learners would be deleted"
        )
        assert output_of(DELETE, str(PROBLEM), "ada") == "0 of 1 learners deleted"

    def test_deprecated_key_needs_the_course(self, ada):
        from xqueue_bridge.lms.callback_url import parse_block_key

        course_key, usage_key = parse_block_key(OLD_COURSE, DEPRECATED_KEY)
        learner_state.save_fields(ada, course_key, usage_key, {"seed": 1})
        output = output_of(DELETE, DEPRECATED_KEY, "ada", "--course", OLD_COURSE)
        assert output == "1 of 1 learners deleted"

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["no-key", "ada"], "block: is not a key"),
            ([str(PROBLEM), "ada", "--course", "no-key"], "--course: is not a key"),
            ([str(PROBLEM), "ada", "--course", "course-v1:A+B+C"], "block: is a block of another"),
            ([DEPRECATED_KEY, "ada"], "--course: is missing"),
            ([str(PROBLEM), "eve"], "Unknown user 'eve'"),
            ([str(PROBLEM), "half of a pair: \udcff"], "Unknown user 'half of a pair"),
            ([str(PROBLEM)], "At least one username"),
        ],
    )
    def test_errors_name_the_argument(self, ada, words, message):
        with pytest.raises(CommandError, match=message):
            output_of(DELETE, *words)
        assert state_of(ada) is not None


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt
