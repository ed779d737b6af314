"""Answers that no grader could grade, and their requeue, with the backends "block" and "callback".

The blocks are real problem blocks.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import responses
from django.utils import timezone

from demo.runtime import answer_ids, submit
from tests.grader_replies import real_block
from tests.grader_replies.factories import CALLBACK_URL, COURSE, make_learner, make_submission
from tests.submission_queue.factories import make_grader
from xqueue_bridge.grader_replies import locks, reopen
from xqueue_bridge.grader_replies.backends import block as block_module
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.lms.capa import waiting_keys
from xqueue_bridge.submission_queue import finish
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def settings_of_backend(settings):
    settings.XQUEUE_BRIDGE = {
        "REPLY_BACKEND": "block",
        "BLOCK_LOADER": "tests.grader_replies.real_block.load_block",
        "MAX_DELIVERIES": 1,
    }


@pytest.fixture
def ada() -> int:
    return make_learner()


def state_of(submission: Submission) -> dict[str, Any]:
    found = learner_state.read_state(submission.user_id, submission.usage_key, COURSE)
    assert found is not None
    return found


def fail(*submissions: Submission) -> None:
    """Let the only lease of submissions end without a result."""
    now = timezone.now()
    ids = [each.pk for each in submissions]
    leased = {"status": Status.LEASED, "deliveries": 1, "available_at": now, "due_at": now}
    Submission.objects.filter(pk__in=ids).update(**leased)
    assert finish.fail_exhausted() == len(ids)


def requeue(*submissions: Submission) -> int:
    return finish.requeue([each.pk for each in submissions])


def submit_text(user_id: int, name: str, *texts: str) -> list[Submission]:
    """Submit other texts, as the learner does after the waiting time."""
    known = set(Submission.objects.values_list("pk", flat=True))
    key = real_block.parse_usage_key(name)
    block = real_block.load_block(user_id, COURSE, key)
    assert len(texts) == len(answer_ids(block))
    submit(block, list(texts))
    return list(Submission.objects.exclude(pk__in=known).order_by("pk"))


def test_failed_answer_is_not_incorrect_and_costs_no_attempt(ada):
    """C77, C123: the block says that the service is at fault, as the backend "state" does."""
    (submission,) = real_block.submit_answers(ada, "one")
    assert state_of(submission)["attempts"] == 1
    fail(submission)
    state = state_of(submission)
    (entry,) = state["correct_map"].values()
    assert (entry["correctness"], entry["npoints"], entry["queuestate"]) == ("incomplete", 0, None)
    assert "fault of the grading service" in entry["msg"]
    assert state["attempts"] == 0
    assert learner_state.read_score(ada, submission.usage_key, COURSE).earned == 0


@pytest.mark.parametrize("backend", ["block", "state"])
def test_attempt_with_two_failed_answers_is_given_back_once(ada, backend, settings):
    """C24, C123: and it is counted again when both wait again."""
    settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "REPLY_BACKEND": backend}
    first, second = real_block.submit_answers(ada, "two")
    # The attempts before do not hide a second one that is given back.
    row = StudentModule.objects.get()
    StudentModule.objects.update(state=json.dumps({**json.loads(row.state), "attempts": 3}))
    fail(first, second)
    assert state_of(first)["attempts"] == 2
    assert requeue(first) == 1
    assert state_of(first)["attempts"] == 2
    assert requeue(second) == 1
    assert state_of(first)["attempts"] == 3
    assert waiting_keys(state_of(first)) == {first.queue_key, second.queue_key}


def test_result_after_a_requeue_is_applied(ada):
    """C127: the block waits again, and the next result counts."""
    (submission,) = real_block.submit_answers(ada, "ten")
    grader = make_grader()
    fail(submission)
    assert requeue(submission) == 1
    assert waiting_keys(state_of(submission)) == {submission.queue_key}
    assert ReceivedReply.objects.get(source="system").status == "rejected"
    reply = json.dumps({"correct": True, "score": 7, "msg": "seven"})
    assert grader.put(grader.pull().header, reply)["return_code"] == 0
    assert learner_state.read_score(ada, submission.usage_key, COURSE).earned == 7
    assert state_of(submission)["attempts"] == 1
    assert not waiting_keys(state_of(submission))


def test_late_result_is_applied_by_a_requeue(ada):
    """C127: no grader gets the submission again."""
    (submission,) = real_block.submit_answers(ada, "one")
    grader = make_grader()
    header = grader.pull().header
    Submission.objects.update(available_at=timezone.now())
    assert finish.fail_exhausted() == 1
    assert "is kept" in grader.put(header)["content"]
    assert requeue(submission) == 1
    assert learner_state.read_score(ada, submission.usage_key, COURSE).earned == 1
    assert grader.pull() is None


def test_requeue_before_the_failure_reply_is_applied(ada, monkeypatch):
    """C127: a block that still waits is not saved."""
    (submission,) = real_block.submit_answers(ada, "one")
    monkeypatch.setattr("xqueue_bridge.grader_replies.inbox.enqueue", lambda *args: None)
    fail(submission)
    version = StudentModule.objects.get().version
    assert requeue(submission) == 1
    assert StudentModule.objects.get().version == version
    assert Submission.objects.get().status == Status.WAITING


@pytest.mark.parametrize("text", ["print(42)", "print(43)"])
@pytest.mark.parametrize("fails_too", [True, False])
def test_newer_answer_is_not_overwritten_by_a_requeue(ada, text, fails_too, monkeypatch):
    """C21, C127: not if the newer answer waits, and not if it has failed as well."""
    (submission,) = real_block.submit_answers(ada, "one")
    fail(submission)
    monkeypatch.setattr(
        "xblocks_contrib.problem.capa_block.ProblemBlock.is_submitted", lambda self: False
    )
    (newer,) = submit_text(ada, "one", text)
    if fails_too:
        fail(newer)
    before = state_of(newer)
    assert requeue(submission) == 0
    assert state_of(newer) == before
    assert requeue(newer) == int(fails_too)


def test_other_part_of_the_problem_is_left_alone(ada):
    """C24, C127: the part that was graded keeps its grade."""
    first, second = real_block.submit_answers(ada, "uneven")
    grader = make_grader()
    long_ago = timezone.now() - 2 * HOUR
    Submission.objects.filter(pk=second.pk).update(due_at=long_ago, available_at=long_ago)
    reply = json.dumps({"correct": True, "score": 5, "msg": "five"})
    assert grader.put(grader.pull().header, reply)["return_code"] == 0
    fail(first)
    assert requeue(first) == 1
    assert waiting_keys(state_of(first)) == {first.queue_key}
    graded = [entry["npoints"] for entry in state_of(first)["correct_map"].values()]
    assert 5 in graded


def test_answer_changed_without_a_submission_is_not_waited_for(ada):
    """C127: the state of another program has another text."""
    (submission,) = real_block.submit_answers(ada, "one")
    fail(submission)
    row = StudentModule.objects.get()
    StudentModule.objects.update(state=row.state.replace("print(42)", "print(43)"))
    assert requeue(submission) == 0
    assert Submission.objects.get().status == Status.FAILED


def test_body_without_the_block_s_values_is_not_requeued(ada, caplog):
    """C127: the answer that it belongs to is not known; a retired body is empty."""
    (submission,) = real_block.submit_answers(ada, "one")
    fail(submission)
    type(submission.content).objects.update(body="")
    assert requeue(submission) == 0
    assert f"Submission {submission.pk} is not requeued: {reopen.MOVED_ON}" in caplog.text


@pytest.mark.parametrize(
    ("error", "text"),
    [(RuntimeError("secret"), "RuntimeError"), (None, "There is no such block.")],
)
def test_block_that_cannot_be_loaded_leaves_the_submission_failed(
    ada, error, text, monkeypatch, caplog
):
    """C127: the log has the kind of the error, without the host's text."""
    (submission,) = real_block.submit_answers(ada, "one")
    fail(submission)

    def load(*key: object) -> None:
        if error:
            raise error

    monkeypatch.setattr(block_module, "import_string", lambda path: load)
    assert requeue(submission) == 0
    assert f"Submission {submission.pk} is not requeued: {text}" in caplog.text
    assert "secret" not in caplog.text


def test_block_that_another_process_changes_is_not_requeued(ada, caplog):
    """C106, C127: a requeue takes the block lock, as applying does."""
    (submission,) = real_block.submit_answers(ada, "one")
    fail(submission)
    with locks.block_lock(ada, submission.usage_key) as is_ours:
        assert is_ours
        assert requeue(submission) == 0
    assert reopen.LOCKED in caplog.text
    assert requeue(submission) == 1


def test_kill_during_a_requeue_changes_neither_state_nor_submission(ada, monkeypatch):
    """C116, C127: both are stored in one transaction."""
    (submission,) = real_block.submit_answers(ada, "one")
    fail(submission)
    before = StudentModule.objects.get().state

    def die(submission_id: int) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(finish.grader_replies, "cancel_failure_replies", die)
        with pytest.raises(SystemExit):
            requeue(submission)
    assert StudentModule.objects.get().state == before
    assert Submission.objects.get().status == Status.FAILED
    assert requeue(submission) == 1


class TestCallback:
    """The state is in another process, and cannot be put back into waiting."""

    @pytest.fixture(autouse=True)
    def _settings(self, settings):
        settings.XQUEUE_BRIDGE = {
            "REPLY_BACKEND": "callback",
            "CALLBACK_PREFIXES": ["https://lms.example.com/courses"],
        }

    @pytest.fixture
    def failed(self, ada) -> Submission:
        submission = make_submission(ada, age=HOUR)
        Submission.objects.update(status=Status.FAILED)
        return submission

    def post_failure(self, submission: Submission, status: int) -> None:
        with responses.RequestsMock() as lms:
            lms.post(CALLBACK_URL, status=status)
            finish.grader_replies.store_failure_reply(submission.pk)

    def test_not_requeued_after_the_lms_took_the_failure_reply(self, failed, caplog):
        """C127: a second result would be acknowledged by the LMS, and dropped."""
        self.post_failure(failed, 200)
        assert requeue(failed) == 0
        assert f"Submission {failed.pk} is not requeued: {reopen.NOT_POSSIBLE}" in caplog.text

    def test_requeued_if_the_failure_reply_has_not_arrived(self, failed):
        """C127: the state of the LMS still waits."""
        self.post_failure(failed, 503)
        assert requeue(failed) == 1
        assert Submission.objects.get().status == Status.WAITING

    def test_submission_over_http_is_answered_by_callback_whatever_the_setting(
        self, failed, settings
    ):
        """C127: the reply of such a submission goes to its callback URL."""
        settings.XQUEUE_BRIDGE = {**settings.XQUEUE_BRIDGE, "REPLY_BACKEND": "state"}
        Submission.objects.update(transport=Submission.Transport.SUBMIT)
        self.post_failure(failed, 200)
        assert requeue(failed) == 0
