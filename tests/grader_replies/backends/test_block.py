"""The backend "block": the block applies the reply itself. The last class has the real block."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import Http404
from django.utils import timezone
from xblocks_contrib.problem.capa.correctmap import CorrectMap as CapaCorrectMap

from tests.db.test_transactions import collision
from tests.grader_replies import real_block
from tests.grader_replies.factories import (
    COURSE,
    OLD,
    make_learner,
    make_reply,
    make_reply_to_apply,
    make_submission,
)
from tests.grader_replies.test_apply import due_again
from xqueue_bridge.data import ApplyResult, Dispatch, GraderReply
from xqueue_bridge.exceptions import PermanentApplyError
from xqueue_bridge.grader_replies import api, retry
from xqueue_bridge.grader_replies.backends import block as block_module
from xqueue_bridge.grader_replies.backends.block import BlockBackend
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.api import UnknownLearner
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.lms import block as blocks
from xqueue_bridge.lms.capa import waiting_keys
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db

Status = ReceivedReply.Status


class CorrectMap(dict[str, Any]):
    """The part of capa's correct map that the backend uses."""

    block: Block

    def is_right_queuekey(self, answer_id: str, key: str) -> bool:
        return self.block.waits_for is not None and self.block.waits_for == key


class Block:
    """Block that stores its calls; after a reply it does not wait, unless it is ``stubborn``."""

    def __init__(self, waits_for: str | None = "key-1", *, stubborn: bool = False) -> None:
        self.waits_for, self.stubborn = waits_for, stubborn
        self.calls: list[Any] = []
        correct_map = CorrectMap(a_2_1={})
        correct_map.block = self
        responder = SimpleNamespace(maxpoints={"a_2_1": 2}, update_score=None)
        self.lcp = SimpleNamespace(
            correct_map=correct_map, responders={"r": responder}, input_state={}
        )

    def handle_ajax(self, dispatch: str, data: Any) -> str:
        self.calls.append((dispatch, dict(data)))
        if not self.stubborn:
            self.waits_for = None
            self.lcp.input_state = {}
        return "{}"

    def save(self) -> None:
        self.calls.append("save")


@pytest.fixture
def loads(monkeypatch, settings):
    """Return a function that sets what the host's loader returns or raises."""
    settings.XQUEUE_BRIDGE = {"BLOCK_LOADER": "host.load"}

    def install(found):
        loaded: list[Any] = []

        def load(*key):
            loaded.append(key)
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(block_module, "import_string", lambda path: load)
        return loaded

    return install


def apply(**changes):
    marked: list[ApplyResult] = []
    result = BlockBackend().apply(make_reply_to_apply(**changes), marked.append)
    assert marked == ([result] if result.applied else [])
    return result


def test_block_gets_header_body_and_key_and_is_saved(loads):
    """C109: handle_ajax is called with header, body and queue key, then save."""
    block = Block()
    loaded = loads(block)
    to_apply = make_reply_to_apply()
    assert apply() == ApplyResult(True, 1, 2, "a_2_1")
    (dispatch, data), saved = block.calls
    assert dispatch == "score_update"
    assert data["xqueue_header"] == to_apply.header
    assert data["queuekey"] == "key-1"
    assert json.loads(data["xqueue_body"]) == {"correct": True, "score": 1, "msg": "<p>ok</p>"}
    assert set(data) == {"xqueue_header", "xqueue_body", "queuekey"}
    assert saved == "save"
    target = to_apply.target
    assert loaded == [(target.user_id, target.course_key, target.usage_key)]


def test_reply_to_a_trial_run_has_its_dispatch_and_no_points(loads):
    """C110, C117: the output of a trial run is passed with the dispatch ungraded_response."""
    block = Block(None)
    block.lcp.input_state = {"a_2_1": {"queuestate": "queued", "queuekey": "key-1"}}
    loads(block)
    assert apply(dispatch=Dispatch.UNGRADED_RESPONSE) == ApplyResult(True)
    assert block.calls[0][0] == "ungraded_response"


@pytest.mark.parametrize("waits_for", [None, "key-2"])
def test_block_that_does_not_wait_is_not_called(loads, waits_for):
    """C111, C115: the queue key is compared before the block is called."""
    block = Block(waits_for)
    loads(block)
    assert apply() == ApplyResult(False)
    assert block.calls == []


def test_score_over_the_maximum_is_the_maximum(loads):
    """C94: a block with more than its maximum score cannot be loaded again."""
    block = Block()
    loads(block)
    assert apply(reply=GraderReply(True, 50, "x"), points={}) == ApplyResult(True, 2, 2, "a_2_1")
    assert json.loads(block.calls[0][1]["xqueue_body"])["score"] == 2


def test_fraction_is_multiplied_by_the_points(loads):
    """C95: the block gets points."""
    block = Block()
    loads(block)
    reply = GraderReply(True, 0.25, "x")
    assert apply(reply=reply, score_is_fraction=True) == ApplyResult(True, 0.5, 2, "a_2_1")


@pytest.mark.parametrize(
    ("maxpoints", "points"),
    [({"a_2_1": 2, "a_3_1": 2}, 2), ({"a_2_1": 2}, 0), ({}, 3)],
)
def test_other_answer_has_at_most_its_maximum_if_that_is_known(maxpoints, points):
    """C113: a removed part has no points; a problem that names no maximum keeps all."""
    correct_map = CapaCorrectMap()
    correct_map.set("a_3_1", correctness="correct", npoints=3)
    responders = {"r": SimpleNamespace(maxpoints=maxpoints)}
    lcp = SimpleNamespace(correct_map=correct_map, responders=responders)
    blocks.clamp_answers(SimpleNamespace(lcp=lcp))
    assert correct_map.get_npoints("a_3_1") == points


def test_block_that_still_waits_after_the_reply_is_not_saved(loads):
    """C106, C107: the error is permanent, because the block publishes a score at each attempt."""
    block = Block(stubborn=True)
    loads(block)
    with pytest.raises(PermanentApplyError):
        apply()
    assert "save" not in block.calls


@pytest.mark.parametrize(
    "found", [None, Http404(), User.DoesNotExist(), PermanentApplyError("not here")]
)
def test_missing_learner_or_block_is_a_permanent_error(loads, found):
    """C107: a loader returns None or raises one of these exceptions."""
    loads(found)
    with pytest.raises(PermanentApplyError):
        apply()


def test_unknown_learner_at_the_save_is_a_permanent_error(loads):
    """C107: the exception is raised when the block saves."""
    block = Block()
    block.save = lambda: (_ for _ in ()).throw(UnknownLearner())
    loads(block)
    with pytest.raises(PermanentApplyError):
        apply()


@pytest.mark.django_db(transaction=True)
def test_block_is_saved_in_a_transaction_and_handles_the_reply_outside(loads, settings):
    """C109, C116: the save is in one transaction with the reply's status."""
    block, seen = Block(), []
    handle_ajax = block.handle_ajax

    def handle_and_look(*args):
        seen.append(connection.in_atomic_block)
        return handle_ajax(*args)

    block.handle_ajax = handle_and_look
    block.save = lambda: seen.append(connection.in_atomic_block)
    loads(block)
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "block", "BLOCK_LOADER": "host.load"}
    assert api.apply_reply(make_reply(make_submission(make_learner())).pk) == Status.APPLIED
    assert seen == [False, True]


def test_block_without_capa_does_not_wait(loads):
    loads(SimpleNamespace())
    assert apply() == ApplyResult(False)
    assert apply(dispatch=Dispatch.UNGRADED_RESPONSE) == ApplyResult(False)


def test_missing_block_loader_setting_is_named_in_the_error(settings):
    settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "block"}
    with pytest.raises(Exception, match="BLOCK_LOADER"):
        apply()


@pytest.mark.django_db(transaction=True)
class TestRealBlock:
    """From the stored reply to the learner's state, by the real problem block."""

    @pytest.fixture(autouse=True)
    def _block_backend(self, settings):
        settings.XQUEUE_BRIDGE = {
            "REPLY_BACKEND": "block",
            "BLOCK_LOADER": "tests.grader_replies.real_block.load_block",
        }

    def state(self, submission: Submission) -> dict[str, Any]:
        found = learner_state.read_state(submission.user_id, submission.usage_key, COURSE)
        assert found is not None
        return found

    def score(self, submission: Submission) -> Any:
        return learner_state.read_score(submission.user_id, submission.usage_key, COURSE)

    def test_reply_is_in_the_state_and_the_score(self):
        """C109, C113: the reply is applied to the state and to the stored score."""
        (submission,) = real_block.submit_answers(make_learner(), "one")
        reply = make_reply(submission)
        assert api.apply_reply(reply.pk) == Status.APPLIED
        (entry,) = self.state(submission)["correct_map"].values()
        assert (entry["correctness"], entry["queuestate"]) == ("correct", None)
        assert self.score(submission) == learner_state.RawScore(1, 1)

    def test_replies_to_both_parts_are_applied(self):
        """C24: each of two replies is applied to its own answer."""
        sent = real_block.submit_answers(make_learner(), "uneven")
        for submission, points in zip(reversed(sent), (5, 2), strict=True):
            body = json.dumps({"correct": True, "score": points, "msg": "x"})
            assert api.apply_reply(make_reply(submission, body).pk) == Status.APPLIED
        assert self.score(sent[0]) == learner_state.RawScore(7, 7)

    def test_kill_before_the_status_is_written_rolls_back_the_save(self, monkeypatch):
        """C116, SG43: the state still waits, and the next attempt applies the reply."""
        (submission,) = real_block.submit_answers(make_learner(), "one")
        Submission.objects.update(created_at=timezone.now() - OLD)
        reply = make_reply(submission)

        def die(*args, **kwargs):
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(retry, "mark_applied", die)
            with pytest.raises(SystemExit):
                api.apply_reply(reply.pk)
        assert waiting_keys(self.state(submission)) == {submission.queue_key}
        assert due_again(reply) == Status.APPLIED
        assert self.score(submission) == learner_state.RawScore(1, 1)
        assert not waiting_keys(self.state(submission))

    def test_deadlock_at_the_status_rolls_back_the_save(self, monkeypatch):
        """C106, C116: the block cannot save twice; the next attempt loads it again."""
        (submission,) = real_block.submit_answers(make_learner(), "one")
        reply = make_reply(submission)

        def collide(*args, **kwargs):
            raise collision(connection.vendor)

        with monkeypatch.context() as patch:
            patch.setattr(retry, "mark_applied", collide)
            assert api.apply_reply(reply.pk) == Status.PENDING
        assert waiting_keys(self.state(submission)) == {submission.queue_key}
        assert due_again(reply) == Status.APPLIED
        assert not waiting_keys(self.state(submission))

    def test_reply_before_the_save_of_the_state_is_applied_by_the_save(self):
        """C20: a reply that is received first is applied by the save."""
        ada = make_learner()
        (submission,) = real_block.submit_answers(ada, "one")
        row = StudentModule.objects.get()
        saved = json.loads(row.state)
        row.delete()
        reply = make_reply(submission)
        assert api.apply_reply(reply.pk) == Status.PENDING
        learner_state.save_fields(ada, COURSE, submission.usage_key, saved)
        reply.refresh_from_db()
        assert reply.status == Status.APPLIED
        assert self.score(submission).earned == 1

    def test_reply_overwritten_by_another_save_is_applied_again(self):
        """C118: no signal is sent for that save; the recheck finds it."""
        (submission,) = real_block.submit_answers(make_learner(), "one")
        before = StudentModule.objects.get()
        reply = make_reply(submission)
        api.apply_reply(reply.pk)
        StudentModule.objects.update(state=before.state, grade=before.grade)
        assert due_again(reply) == Status.APPLIED
        assert reply.next_attempt_at is None
        assert self.score(submission).earned == 1
        assert not waiting_keys(self.state(submission))

    def test_recheck_of_an_applied_reply_changes_nothing(self):
        """C116, C118: the reply is applied once and checked again."""
        (submission,) = real_block.submit_answers(make_learner(), "one")
        reply = make_reply(submission)
        api.apply_reply(reply.pk)
        version = StudentModule.objects.get().version
        assert due_again(reply) == Status.APPLIED
        assert StudentModule.objects.get().version == version

    def test_stale_reply_does_not_save_the_block(self):
        """C111, C115: the version of the state does not change."""
        (submission,) = real_block.submit_answers(make_learner(), "one")
        version = StudentModule.objects.get().version
        stranger = make_submission(
            submission.user_id, "another key", usage_key=submission.usage_key, age=OLD
        )
        assert api.apply_reply(make_reply(stranger).pk) == Status.STALE
        assert StudentModule.objects.get().version == version

    def test_failure_reply_is_shown_to_the_learner(self):
        """C123: the learner reads that the submission could not be graded."""
        (submission,) = real_block.submit_answers(make_learner(), "one")
        reply_id = api.store_failure_reply(submission.pk)
        assert ReceivedReply.objects.get(pk=reply_id).status == Status.APPLIED
        (entry,) = self.state(submission)["correct_map"].values()
        assert (entry["correctness"], entry["npoints"]) == ("incomplete", 0)
        assert "could not be graded" in entry["msg"]

    def test_reply_to_a_closed_problem_is_applied(self, monkeypatch):
        """C119: a closed problem accepts replies."""
        (submission,) = real_block.submit_answers(make_learner(), "one")
        closed = real_block.load_block

        def load_closed(*key):
            block = closed(*key)
            monkeypatch.setattr(type(block), "closed", lambda self: True)
            return block

        monkeypatch.setattr(real_block, "load_block", load_closed)
        assert api.apply_reply(make_reply(submission).pk) == Status.APPLIED
        assert self.score(submission).earned == 1

    def test_reply_to_a_missing_block_is_dead_after_three_attempts(self):
        """C107: the reply is dead, with the error for operators."""
        submission = make_submission(make_learner(), usage_key=real_block.parse_usage_key("gone"))
        reply = make_reply(submission)
        assert api.apply_reply(reply.pk) == Status.PENDING
        assert due_again(reply) == Status.PENDING
        assert due_again(reply) == Status.DEAD
        assert reply.last_error == "There is no such learner or block."
