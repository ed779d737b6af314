"""Attempts to apply a stored reply, and their outcomes."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.db.models import F
from django.utils import timezone

from tests.db.test_transactions import collision
from tests.grader_replies.factories import (
    BLOCK,
    COURSE,
    GOOD,
    OLD,
    ScriptedBackend,
    make_learner,
    make_reply,
    make_state,
    make_submission,
    received_signals,
    waiting_state,
)
from tests.learner_state.test_user_state import LOCK, in_threads
from xqueue_bridge.data import ApplyResult, Dispatch
from xqueue_bridge.exceptions import PermanentApplyError, TransientApplyError
from xqueue_bridge.grader_replies import api, apply, queries, retry
from xqueue_bridge.grader_replies.apply import DRAIN_LIMIT, PERMANENT_ATTEMPTS
from xqueue_bridge.grader_replies.locks import block_lock
from xqueue_bridge.grader_replies.models import BlockLock, ReceivedReply
from xqueue_bridge.learner_state import api as ledger
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.lms.capa import waiting_keys
from xqueue_bridge.signals import reply_applied, reply_not_applied
from xqueue_bridge.submission_queue.models import Submission

Status = ReceivedReply.Status


@pytest.fixture
def ada(db) -> int:
    return make_learner()


@pytest.fixture
def committed_ada(transactional_db) -> int:
    return make_learner()


@pytest.fixture
def scripted(monkeypatch):
    """Return a function that installs a scripted reply backend."""

    def install(*script):
        backend = ScriptedBackend(*script)
        monkeypatch.setattr(apply, "get_reply_backend", lambda: backend)
        return backend

    return install


def due_again(reply):
    """Let the time pass until a reply is due, and apply it, as the sweeper does."""
    reply.refresh_from_db()
    wait = max(reply.next_attempt_at - timezone.now(), timedelta(0))
    ReceivedReply.objects.filter(pk=reply.pk).update(next_attempt_at=F("next_attempt_at") - wait)
    Submission.objects.filter(pk=reply.submission_id).update(created_at=F("created_at") - wait)
    status = api.apply_reply(reply.pk)
    reply.refresh_from_db()
    return status


class TestState:
    """With the backend "state", the default."""

    def test_reply_is_applied(self, ada):
        """C113: the state has correctness, points and message and waits no longer."""
        make_state(ada)
        reply = make_reply(make_submission(ada))
        assert api.apply_reply(reply.pk) == Status.APPLIED
        entry = learner_state.read_state(ada, BLOCK, COURSE)["correct_map"]["a_2_1"]
        assert entry["correctness"] == "correct"
        assert entry["npoints"] == 1
        assert entry["msg"] == "<p>All tests passed.</p>"
        assert entry["queuestate"] is None
        assert learner_state.read_score(ada, BLOCK, COURSE) == learner_state.RawScore(1, 1)
        reply.refresh_from_db()
        assert reply.score_applied == 1
        assert (reply.attempts, reply.next_attempt_at, reply.last_error) == (1, None, "")
        assert reply.applied_at is not None

    def test_second_call_has_no_effect(self, ada):
        """C116: applying the same reply again has no effect."""
        make_state(ada)
        reply = make_reply(make_submission(ada))
        api.apply_reply(reply.pk)
        before = learner_state.read_state(ada, BLOCK, COURSE)
        assert api.apply_reply(reply.pk) == Status.APPLIED
        assert learner_state.read_state(ada, BLOCK, COURSE) == before
        assert StudentModuleHistory.objects.count() == 1

    def test_second_reply_for_the_same_key_changes_nothing(self, ada):
        """C115, C116: after the first reply the state does not wait for the key."""
        make_state(ada)
        submission = make_submission(ada, age=OLD)
        api.apply_reply(make_reply(submission).pk)
        worse = make_reply(submission, '{"correct": false, "score": 0, "msg": "no"}')
        assert api.apply_reply(worse.pk) == Status.STALE
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 1

    def test_stale_reply_changes_nothing(self, ada):
        """C111, C115: the learner has submitted again, and the state waits for another key."""
        make_state(ada, waiting_state(a_2_1="key-2"))
        before = learner_state.read_state(ada, BLOCK, COURSE)
        reply = make_reply(make_submission(ada, age=OLD))
        assert api.apply_reply(reply.pk) == Status.STALE
        assert learner_state.read_state(ada, BLOCK, COURSE) == before
        assert not StudentModuleHistory.objects.exists()
        reply.refresh_from_db()
        assert reply.next_attempt_at is None

    @pytest.mark.parametrize("state", [None, {}, {"correct_map": {}}], ids=["row", "empty", "map"])
    def test_early_reply_waits_for_the_state(self, ada, state):
        """C20, C111: a reply that arrives before the save is applied after it."""
        if state is not None:
            make_state(ada, state)
        reply = make_reply(make_submission(ada))
        before = timezone.now()
        assert api.apply_reply(reply.pk) == Status.PENDING
        reply.refresh_from_db()
        assert reply.next_attempt_at > before
        make_state(ada)
        assert due_again(reply) == Status.APPLIED
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 1

    def test_early_reply_is_stale_after_stale_after_seconds(self, ada, settings):
        """C111: after STALE_AFTER_SECONDS the reply is not retried."""
        settings.XQUEUE_BRIDGE = {"STALE_AFTER_SECONDS": 100}
        make_state(ada, waiting_state(a_2_1="key-2"))
        submission = make_submission(ada)
        reply = make_reply(submission)
        status = api.apply_reply(reply.pk)
        while status == Status.PENDING:
            reply.refresh_from_db()
            submission.refresh_from_db()
            # A second for the difference between two clocks' readings.
            assert reply.next_attempt_at <= submission.created_at + timedelta(seconds=101)
            status = due_again(reply)
            assert reply.attempts < 12
        assert status == Status.STALE
        assert reply.attempts >= 5

    def test_reply_to_a_closed_problem_is_applied(self, ada):
        """C119: a reply is applied although the problem is closed."""
        closed = {**waiting_state(a_2_1="key-1"), "attempts": 5}
        make_state(ada, closed)
        assert api.apply_reply(make_reply(make_submission(ada, age=OLD)).pk) == Status.APPLIED
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 1

    def test_learner_without_enrolment_gets_the_score(self, ada):
        """C120: the reply is applied without a check of the learner's access."""
        make_state(ada)
        assert api.apply_reply(make_reply(make_submission(ada)).pk) == Status.APPLIED

    def test_reply_to_an_unknown_learner_is_dead_after_three_attempts(self, committed_ada):
        """C107: after three attempts the reply is dead, with the error for operators."""
        reply = make_reply(make_submission(committed_ada + 1))
        with received_signals(reply_not_applied) as received:
            status = api.apply_reply(reply.pk)
            while status == Status.PENDING:
                status = due_again(reply)
        assert (status, reply.attempts) == (Status.DEAD, PERMANENT_ATTEMPTS)
        assert reply.last_error == "There is no such learner."
        assert reply.next_attempt_at is None
        assert received == [{"reply_id": reply.pk, "status": "dead", "error": reply.last_error}]

    def test_replies_to_two_parts_in_reverse_order_are_applied(self, ada):
        """C24: each of two answers gets its own reply."""
        make_state(ada, waiting_state(a_2_1="key-1", a_3_1="key-2"))
        points = {"a_2_1": 1, "a_3_1": 1}
        first = make_reply(make_submission(ada, "key-1", points=points))
        second = make_reply(make_submission(ada, "key-2", points=points))
        assert api.apply_reply(second.pk) == api.apply_reply(first.pk) == Status.APPLIED
        assert learner_state.read_score(ada, BLOCK, COURSE) == learner_state.RawScore(2, 2)

    def test_given_and_applied_score_are_stored(self, ada):
        """C94: the grader's score and the applied score are stored if they differ."""
        make_state(ada)
        submission = make_submission(ada)
        body = '{"correct": true, "score": 5, "msg": "x"}'
        reply_id = api.store_reply(submission.pk, "callback", body, reply=api.parse_reply(body))
        api.apply_reply(reply_id)
        reply = ReceivedReply.objects.get(pk=reply_id)
        assert (reply.score_given, reply.score_applied) == (5, 1)

    def test_fraction_is_applied_as_points(self, ada, settings):
        """C95: the score of a queue with SCORE_SCALE "fraction" is multiplied by the points."""
        settings.XQUEUE_BRIDGE = {"QUEUES": {"python": {"SCORE_SCALE": "fraction"}}}
        make_state(
            ada, {**waiting_state(a_2_1="key-1"), "score": {"raw_earned": 0, "raw_possible": 10}}
        )
        body = '{"correct": false, "score": 0.5, "msg": "half"}'
        api.apply_reply(make_reply(make_submission(ada, points={"a_2_1": 10}), body).pk)
        assert learner_state.read_score(ada, BLOCK, COURSE) == learner_state.RawScore(5, 10)

    def test_failure_reply_ends_the_wait(self, ada):
        """C123: a failure reply is applied like a grader's reply, with the same key."""
        make_state(ada)
        reply_id = api.store_failure_reply(make_submission(ada).pk)
        assert api.apply_reply(reply_id) == Status.APPLIED
        entry = learner_state.read_state(ada, BLOCK, COURSE)["correct_map"]["a_2_1"]
        assert (entry["correctness"], entry["npoints"]) == ("incomplete", 0)
        assert "could not be graded" in entry["msg"]
        assert learner_state.read_state(ada, BLOCK, COURSE)["attempts"] == 0, "it is not counted"

    def test_invalid_reply_is_rejected(self, ada):
        """C112: a pending row without a parsed reply changes no state."""
        make_state(ada)
        before = learner_state.read_state(ada, BLOCK, COURSE)
        reply = make_reply(make_submission(ada), correct=None, message="")
        assert api.apply_reply(reply.pk) == Status.REJECTED
        assert learner_state.read_state(ada, BLOCK, COURSE) == before
        reply.refresh_from_db()
        assert reply.last_error == "there is no valid reply to apply"


class TestApplyWaiting:
    """After a save of a learner's state that waits for queue keys."""

    def test_early_reply_is_applied_at_once(self, ada):
        """C20: a reply that arrived before the save needs no sweeper."""
        reply = make_reply(make_submission(ada))
        api.apply_reply(reply.pk)
        make_state(ada)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        reply.refresh_from_db()
        assert (reply.status, reply.attempts) == (Status.APPLIED, 1), "counted from the save"

    def test_first_of_two_replies_counts(self, ada):
        """C88, C115: after the first reply the state does not wait for the key."""
        submission = make_submission(ada)
        make_reply(submission)
        make_reply(submission, '{"correct": false, "score": 0, "msg": "no"}')
        make_state(ada)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 1

    def test_without_a_pending_reply_no_backend_is_loaded(self, ada, settings):
        settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "nowhere.ReplyBackend"}
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))

    def test_applied_reply_is_applied_again_after_a_late_save(self, ada):
        """C118: a page that was loaded before the reply was applied saves the old state."""
        row = make_state(ada)
        old_state = row.state
        reply = make_reply(make_submission(ada))
        api.apply_reply(reply.pk)
        type(row).objects.update(state=old_state)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        state = learner_state.read_state(ada, BLOCK, COURSE)
        assert state["correct_map"]["a_2_1"]["correctness"] == "correct"
        reply.refresh_from_db()
        assert reply.status == Status.APPLIED

    def test_stale_or_dead_reply_is_applied(self, ada):
        submission = make_submission(ada, age=OLD)
        for status in (Status.STALE, Status.DEAD):
            make_state(ada)
            ReceivedReply.objects.all().delete()
            reply = make_reply(submission, status=status, next_attempt_at=None, attempts=24)
            api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
            reply.refresh_from_db()
            assert reply.status == Status.APPLIED

    def test_stale_reply_whose_attempt_fails_is_pending_again(self, ada, scripted):
        """C106, C118: the sweeper tries it again, with all attempts that a new reply has."""
        scripted(TransientApplyError("later"))
        gone = {"status": Status.STALE, "next_attempt_at": None, "attempts": 24}
        reply = make_reply(make_submission(ada), **gone)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        reply.refresh_from_db()
        assert (reply.status, reply.attempts, reply.last_error) == (Status.PENDING, 1, "later")
        assert reply.next_attempt_at > timezone.now()

    def test_rejected_reply_stays_rejected(self, ada):
        """C112: a rejected reply is never applied."""
        make_state(ada)
        reply = make_reply(make_submission(ada), status=Status.REJECTED, next_attempt_at=None)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        reply.refresh_from_db()
        assert reply.status == Status.REJECTED

    def test_replies_of_other_blocks_and_keys_do_not_change(self, ada):
        """C115: a queue key is valid for one learner at one block."""
        make_state(ada)
        make_reply(make_submission(ada))
        tried = {"attempts": 3, "next_attempt_at": timezone.now() + timedelta(hours=1)}
        others = [
            make_reply(make_submission(ada, "key-2"), **tried),
            make_reply(make_submission(make_learner("bob")), **tried),
            make_reply(make_submission(ada, usage_key=BLOCK.replace(name="lists")), **tried),
        ]
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        for reply in others:
            reply.refresh_from_db()
            assert (reply.attempts, reply.next_attempt_at) == tuple(tried.values())

    def test_key_of_two_submissions_belongs_to_the_newer_one(self, ada):
        """C21: capa may generate the same key for two answers within a second."""
        make_state(ada)
        older = make_reply(make_submission(ada), status=Status.APPLIED, next_attempt_at=None)
        make_submission(ada)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        older.refresh_from_db()
        assert older.attempts == 0
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 0


class TestEqualQueueKeys:
    """Capa generates the same key for two answers within a second."""

    def test_reply_to_the_older_answer_is_stale(self, ada):
        """C21, C115: the state has the newer answer and waits for a reply to that one."""
        make_state(ada)
        older, newer = (make_submission(ada, age=OLD) for _ in range(2))
        assert api.apply_reply(make_reply(older).pk) == Status.STALE
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 0
        assert api.apply_reply(make_reply(newer).pk) == Status.APPLIED
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 1

    def test_recheck_does_not_apply_the_older_reply_again(self, ada, scripted):
        """C21, C118: the reply to the older answer is not applied to the newer one."""
        backend = scripted(ApplyResult(True, 1, 1))
        backend.recheck_seconds = 30
        reply = make_reply(make_submission(ada))
        api.apply_reply(reply.pk)
        make_submission(ada)
        assert due_again(reply) == Status.APPLIED
        assert (len(backend.calls), reply.next_attempt_at) == (1, None)

    @pytest.mark.parametrize(
        "other", [{"dispatch": Dispatch.UNGRADED_RESPONSE}, {"usage_key": BLOCK.replace(name="b")}]
    )
    def test_trial_run_replaces_no_answer(self, ada, other):
        """C25: neither a trial run nor an answer at another block replaces an answer."""
        make_state(ada)
        reply = make_reply(make_submission(ada))
        make_submission(ada, **other)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        reply.refresh_from_db()
        assert reply.status == Status.APPLIED


class TestAttempts:
    """With any reply backend."""

    def test_transient_error_is_retried_for_hours(self, ada, scripted, settings):
        """C106: the intervals double up to a limit, with jitter; then the reply is dead."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 24}
        scripted(TransientApplyError("The LMS answered 503."))
        reply = make_reply(make_submission(ada))
        pauses = []
        status = api.apply_reply(reply.pk)
        while status == Status.PENDING:
            now = timezone.now()
            status = due_again(reply)
            if reply.next_attempt_at:
                pauses.append((reply.next_attempt_at - now).total_seconds())
        assert status == Status.DEAD
        assert reply.attempts == 24
        assert reply.last_error == "The LMS answered 503."
        assert timedelta(hours=3) < timedelta(seconds=sum(pauses)) < timedelta(hours=24)
        for n, pause in enumerate(pauses, start=2):
            # A second for the attempt itself.
            assert min(2.0**n, 3600) * 0.49 < pause < min(2.0**n, 3600) + 1
        assert len({round(pause / min(2.0**n, 3600), 3) for n, pause in enumerate(pauses, 2)}) > 5

    def test_permanent_error_is_retried_three_times(self, ada, scripted):
        """C107: a missing learner or block may appear; then the reply is dead."""
        scripted(PermanentApplyError("The LMS answered 404."))
        reply = make_reply(make_submission(ada))
        assert api.apply_reply(reply.pk) == Status.PENDING
        assert due_again(reply) == Status.PENDING
        assert due_again(reply) == Status.DEAD
        assert reply.attempts == PERMANENT_ATTEMPTS

    def test_next_attempt_can_succeed(self, ada, scripted):
        """C91: the reply stays stored and is applied by a later attempt."""
        backend = scripted(TransientApplyError("busy"), ApplyResult(True, 0.5, 1))
        reply = make_reply(make_submission(ada))
        assert api.apply_reply(reply.pk) == Status.PENDING
        assert due_again(reply) == Status.APPLIED
        assert (reply.score_applied, reply.last_error) == (0.5, "")
        assert len(backend.calls) == 2

    def test_reply_is_not_tried_before_it_is_due(self, ada, scripted):
        """C106: a call before the next attempt's time does nothing."""
        backend = scripted(TransientApplyError("busy"))
        with time_machine.travel(timezone.now(), tick=False):
            reply = make_reply(make_submission(ada))
            api.apply_reply(reply.pk)
            assert api.apply_reply(reply.pk) == Status.PENDING
            assert api.apply_due() == 0
        assert len(backend.calls) == 1

    def test_new_reply_is_due_for_every_clock(self, ada, scripted):
        scripted()
        tomorrow = timezone.now() + timedelta(days=1)
        reply = make_reply(make_submission(ada), next_attempt_at=tomorrow)
        assert api.apply_reply(reply.pk) == Status.APPLIED

    def test_other_exception_is_transient_and_its_message_is_not_logged(
        self, ada, scripted, caplog
    ):
        """C106: an exception of the host is transient; its message may contain private text."""
        scripted(RuntimeError("key-1 and <p>All tests passed.</p>"))
        reply = make_reply(make_submission(ada))
        with caplog.at_level(logging.DEBUG):
            assert api.apply_reply(reply.pk) == Status.PENDING
        reply.refresh_from_db()
        assert reply.last_error == "RuntimeError"
        assert "key-1" not in caplog.text
        assert "tests passed" not in caplog.text

    def test_attempt_counts_before_foreign_code_runs(self, ada, scripted):
        """C107: a reply that kills its process is dead after the last attempt."""

        def die(to_apply):
            raise SystemExit

        scripted(die)
        reply = make_reply(make_submission(ada))
        with pytest.raises(SystemExit):
            api.apply_reply(reply.pk)
        reply.refresh_from_db()
        assert reply.attempts == 1
        assert reply.next_attempt_at > timezone.now()
        assert not BlockLock.objects.exists()

    def test_reply_that_kills_its_process_each_time_is_dead(self, ada, scripted, settings):
        """C106, C107: no error is reported, but the number of attempts is bounded."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 3}

        def die(to_apply):
            raise SystemExit

        backend = scripted(die)
        reply = make_reply(make_submission(ada))
        for _ in range(3):
            with pytest.raises(SystemExit):
                due_again(reply)
        assert due_again(reply) == Status.DEAD
        assert len(backend.calls) == 3
        assert reply.last_error == "an attempt began and did not end"
        assert reply.next_attempt_at is None

    def test_reply_is_retried_after_one_kill(self, ada, scripted, settings):
        """C20, C107: a reply that waits for its state is retried, also after many attempts."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 2, "STALE_AFTER_SECONDS": 100_000}

        def die(to_apply):
            raise SystemExit

        scripted(die, ApplyResult(False), ApplyResult(False), ApplyResult(True, 1, 1))
        reply = make_reply(make_submission(ada))
        with pytest.raises(SystemExit):
            due_again(reply)
        for _ in range(2):
            assert due_again(reply) == Status.PENDING
        assert due_again(reply) == Status.APPLIED
        assert (reply.attempts, reply.last_error) == (4, "")

    def test_status_update_is_repeated_after_a_deadlock(self, committed_ada, scripted, monkeypatch):
        """C116: the block would not take the reply again, so the status update is retried."""
        backend = scripted(ApplyResult(True, 1, 1), ApplyResult(False))
        reply = make_reply(make_submission(committed_ada, age=OLD))
        record_outcomes, calls = ledger.record_outcomes, []

        def collide_once(*args, **kwargs):
            calls.append(args)
            if len(calls) == 1:
                raise collision(connection.vendor)
            return record_outcomes(*args, **kwargs)

        monkeypatch.setattr(ledger, "record_outcomes", collide_once)
        assert api.apply_reply(reply.pk) == Status.APPLIED
        assert (len(backend.calls), len(calls)) == (1, 2)

    def test_backend_gets_target_key_header_reply_points_and_time(self, ada, scripted):
        backend = scripted()
        submission = make_submission(ada, points={"a_2_1": 10})
        api.apply_reply(make_reply(submission).pk)
        (to_apply,) = backend.calls
        assert to_apply.target == submission.target
        assert to_apply.queue_key == "key-1"
        assert to_apply.header == submission.content.header
        assert to_apply.reply == api.parse_reply(GOOD)
        assert to_apply.points == {"a_2_1": 10}
        assert to_apply.sent_at == submission.created_at

    def test_applied_reply_is_checked_once_more(self, ada, scripted, caplog):
        """C118: a save of the host can overwrite a result; the reply is checked once."""
        backend = scripted(ApplyResult(True, 1, 1), ApplyResult(False))
        backend.recheck_seconds = 30
        reply = make_reply(make_submission(ada))
        assert api.apply_reply(reply.pk) == Status.APPLIED
        reply.refresh_from_db()
        pause = (reply.next_attempt_at - reply.applied_at).total_seconds()
        assert pause == pytest.approx(30)
        assert due_again(reply) == Status.APPLIED
        assert (reply.next_attempt_at, reply.last_error) == (None, "")
        assert caplog.text == ""

    @pytest.mark.parametrize("second", [ApplyResult(True, 1, 1), PermanentApplyError("gone")])
    def test_applied_reply_stays_applied_after_the_check(self, ada, scripted, second):
        """C118: if it was applied again, or the check failed, the reply stays applied."""
        backend = scripted(ApplyResult(True, 1, 1), second)
        backend.recheck_seconds = 30
        reply = make_reply(make_submission(ada))
        api.apply_reply(reply.pk)
        for _ in range(PERMANENT_ATTEMPTS):
            if reply.status == Status.PENDING or reply.next_attempt_at:
                assert due_again(reply) == Status.APPLIED
        assert reply.next_attempt_at is None


class TestBlockLock:
    """Foreign code runs for one reply at a time of one learner's block."""

    def test_reply_stays_due_while_another_process_has_the_lock(self, ada, scripted):
        """C118: a process that does not get the lock leaves the reply to its owner."""
        backend = scripted()
        reply = make_reply(make_submission(ada))
        with block_lock(ada, BLOCK):
            assert api.apply_reply(reply.pk) == Status.PENDING
        reply.refresh_from_db()
        assert (reply.attempts, backend.calls) == (0, [])
        assert api.apply_due() == 1
        reply.refresh_from_db()
        assert reply.status == Status.APPLIED

    @pytest.mark.parametrize(
        ("fields", "is_replaced", "status"),
        [
            ({"message": ""}, False, Status.REJECTED),
            ({"last_error": retry.INTERRUPTED, "attempts": 24}, False, Status.DEAD),
            ({}, True, Status.PENDING),
        ],
    )
    def test_attempt_without_the_lock_leaves_the_other_replies(
        self, ada, scripted, settings, fields, is_replaced, status
    ):
        """C118: none of them was skipped, so each is due by itself."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 24}
        backend = scripted()
        reply = make_reply(make_submission(ada), **fields)
        if is_replaced:
            make_submission(ada)  # a newer answer with the same key
        other = make_reply(make_submission(ada, "key-2"))
        assert api.apply_reply(reply.pk) == status
        other.refresh_from_db()
        assert (backend.calls, other.attempts) == ([], 0)

    def test_refused_recheck_leaves_an_applied_reply_applied(self, ada, scripted):
        """C116: the grade is in the learner's state; only a first attempt can be refused."""
        scripted(ApplyResult(applied=False, refusal="the learner has answered again"))
        reply = make_reply(make_submission(ada), status=Status.APPLIED)
        with received_signals(reply_not_applied) as received:
            assert api.apply_reply(reply.pk) == Status.APPLIED
        reply.refresh_from_db()
        assert (reply.status, reply.last_error, received) == (Status.APPLIED, "", [])

    def test_owner_applies_replies_that_arrived_meanwhile(self, ada, scripted):
        """C24, C118: a reply that arrived during an attempt is applied right after it."""
        late = []

        def meanwhile(to_apply):
            if not late:
                late.append(make_reply(make_submission(ada, "key-2")))
                assert api.apply_reply(late[0].pk) == Status.PENDING
            return ApplyResult(True, 1, 1)

        backend = scripted(meanwhile)
        api.apply_reply(make_reply(make_submission(ada)).pk)
        late[0].refresh_from_db()
        assert late[0].status == Status.APPLIED
        assert [to_apply.queue_key for to_apply in backend.calls] == ["key-1", "key-2"]

    def test_reply_applied_before_the_lock_was_acquired_is_not_applied_again(
        self, ada, scripted, monkeypatch
    ):
        """C116: the reply is read again after the lock was acquired."""
        backend = scripted()
        reply = make_reply(make_submission(ada))

        def apply_by_another_process(*key):
            monkeypatch.setattr(apply, "block_lock", block_lock)
            api.apply_reply(reply.pk)
            return block_lock(*key)

        monkeypatch.setattr(apply, "block_lock", apply_by_another_process)
        assert api.apply_reply(reply.pk) == Status.APPLIED
        assert len(backend.calls) == 1

    @pytest.mark.parametrize(
        "step", [ApplyResult(True, 1, 1), ApplyResult(False), TransientApplyError("x" * 300)]
    )
    def test_attempt_counts_for_one_reply(self, ada, scripted, step):
        """C106: attempts of other replies that are due at the same time are not counted."""
        scripted(step)
        now = timezone.now()
        first, other = (
            make_reply(
                make_submission(ada, usage_key=BLOCK.replace(name=name)), next_attempt_at=now
            )
            for name in ("a", "b")
        )
        api.apply_reply(first.pk)
        first.refresh_from_db()
        assert (first.attempts, len(first.last_error) <= 255) == (1, True)
        other.refresh_from_db()
        assert (other.attempts, other.next_attempt_at) == (0, now)

    def test_owner_does_not_apply_replies_of_other_blocks(self, ada, scripted):
        """C118: a lock is for one learner's block."""
        backend = scripted()
        make_reply(make_submission(make_learner("bob"), "bob's"))
        make_reply(make_submission(ada, "lists", usage_key=BLOCK.replace(name="lists")))
        api.apply_reply(make_reply(make_submission(ada)).pk)
        assert [to_apply.queue_key for to_apply in backend.calls] == ["key-1"]

    @pytest.mark.parametrize("status", [Status.PENDING, Status.APPLIED])
    def test_state_saved_during_an_attempt_keeps_the_new_status(
        self, ada, scripted, status, caplog
    ):
        """C118: an attempt that read the state before the save does not change the status."""

        def saved_meanwhile(to_apply):
            api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
            return ApplyResult(False)

        scripted(saved_meanwhile, ApplyResult(True, 1, 1))
        applied_at = timezone.now() if status == Status.APPLIED else None
        reply = make_reply(make_submission(ada, age=OLD), status=status, applied_at=applied_at)
        assert api.apply_reply(reply.pk) == status
        assert not ScoreLedger.objects.exists()
        assert "stale" not in caplog.text
        assert api.apply_due() == 1
        reply.refresh_from_db()
        assert (reply.status, reply.score_applied) == (Status.APPLIED, 1)

    @pytest.mark.parametrize("status", [Status.PENDING, Status.APPLIED])
    def test_attempts_of_a_block_that_saves_and_fails_are_bounded(
        self, ada, scripted, settings, status
    ):
        """C106: a save by the block during the attempt does not reset the count."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 3}

        def save_and_fail(to_apply):
            api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
            raise TransientApplyError("The block has not taken the reply.")

        backend = scripted(save_and_fail)
        reply = make_reply(make_submission(ada), status=status)
        while reply.next_attempt_at:
            due_again(reply)
            assert len(backend.calls) <= 3
        assert reply.status == (Status.DEAD if status == Status.PENDING else Status.APPLIED)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        assert len(backend.calls) == 4

    def test_number_of_replies_under_one_lock_is_bounded(self, ada, scripted):
        count = iter(range(1000))

        def another(to_apply):
            make_reply(make_submission(ada, f"key {next(count)}"))
            return ApplyResult(True, 1, 1)

        backend = scripted(another)
        api.apply_reply(make_reply(make_submission(ada)).pk)
        assert len(backend.calls) == DRAIN_LIMIT

    def test_no_transaction_is_open_while_foreign_code_runs(self, committed_ada, scripted):
        seen = []

        def look(to_apply):
            seen.append(connection.in_atomic_block)
            return ApplyResult(True, 1, 1)

        scripted(look)
        api.apply_reply(make_reply(make_submission(committed_ada)).pk)
        assert seen == [False]


class TestSweep:
    def test_oldest_due_reply_is_first(self, ada, scripted):
        backend = scripted()
        now = timezone.now()
        for minutes in (1, 3, 2):
            make_reply(
                make_submission(
                    ada, f"{minutes} minutes", usage_key=BLOCK.replace(name=f"b{minutes}")
                ),
                next_attempt_at=now - timedelta(minutes=minutes),
            )
        assert api.apply_due(limit=2) == 2
        assert [to_apply.queue_key for to_apply in backend.calls] == [
            "3 minutes",
            "2 minutes",
        ]
        assert api.apply_due() == 1
        assert api.apply_due() == 0

    def test_invalid_backend_setting_raises_import_error_once(self, ada, settings, caplog):
        settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "nowhere.ReplyBackend"}
        make_reply(make_submission(ada))
        with pytest.raises(ImportError):
            api.apply_due()
        assert caplog.text == ""

    def test_exception_for_one_reply_does_not_stop_the_others(
        self, ada, scripted, monkeypatch, caplog
    ):
        scripted()
        first, second = (make_reply(make_submission(ada, key)) for key in ("key-1", "key-2"))
        attempt = apply._attempt

        def fail_once(reply, backend):
            if reply.pk == first.pk:
                raise RuntimeError("key-1")
            attempt(reply, backend)

        monkeypatch.setattr(apply, "_attempt", fail_once)
        assert api.apply_due() == 2
        second.refresh_from_db()
        assert second.status == Status.APPLIED
        text = f"Reply {first.pk} could not be tried: RuntimeError"
        [record] = [each for each in caplog.records if each.getMessage() == text]
        assert record.reply_id == first.pk
        assert "key-1" not in caplog.text

    def test_exception_counts_for_its_own_reply(self, ada, scripted, monkeypatch):
        """C106: another due reply, even an older one, keeps its attempts."""
        scripted()
        older, failing = (make_reply(make_submission(ada, key)) for key in ("key-1", "key-2"))

        def fail(reply, backend):
            raise RuntimeError

        monkeypatch.setattr(apply, "_attempt", fail)
        apply.apply_replies([failing.pk])
        attempts = ReceivedReply.objects.values_list("pk", "attempts")
        assert dict(attempts) == {older.pk: 0, failing.pk: 1}

    def test_replies_that_cannot_be_attempted_do_not_block_others(self, ada, scripted, settings):
        """C106: a reply that cannot be tried has intervals and a maximum of attempts, too."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 2}
        scripted()
        long_ago = timezone.now() - OLD
        bad = [
            make_reply(make_submission(ada, f"key-{n}"), next_attempt_at=long_ago) for n in range(2)
        ]
        type(bad[0].submission).objects.update(dispatch="unknown")
        good = make_reply(make_submission(ada, "key-3"))
        assert api.apply_due(limit=2) == 2
        assert api.apply_due(limit=2) == 1
        good.refresh_from_db()
        assert good.status == Status.APPLIED
        with time_machine.travel(timezone.now() + OLD):
            assert api.apply_due() == 2
            assert api.apply_due() == 0
        for reply in bad:
            reply.refresh_from_db()
            assert (reply.status, reply.attempts) == (Status.DEAD, 2)
            assert (reply.last_error, reply.next_attempt_at) == ("ValueError", None)

    def test_exception_after_the_final_status_does_not_retry(self, ada, scripted, monkeypatch):
        """C116: a reply with a final status is not retried after an exception."""
        backend = scripted()

        def fail(reply, tried):
            raise RuntimeError

        monkeypatch.setattr(queries, "next_for_same_block", fail)
        reply = make_reply(make_submission(ada))
        assert api.apply_due() == 1
        reply.refresh_from_db()
        assert (reply.status, reply.attempts, reply.last_error) == (Status.APPLIED, 1, "")
        assert len(backend.calls) == 1


class TestSignals:
    def test_signal_is_sent_once_for_an_applied_reply(self, committed_ada):
        """C121: exactly one signal is sent for one result, with the applied score."""
        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        with received_signals(reply_applied) as received:
            api.apply_reply(reply.pk)
            api.apply_reply(reply.pk)
        assert received == [
            {
                "reply_id": reply.pk,
                "submission_id": reply.submission_id,
                "user_id": committed_ada,
                "course_key": COURSE,
                "usage_key": BLOCK,
                "dispatch": "score_update",
                "points": 1,
                "max_points": 1,
            }
        ]

    def test_no_signal_is_sent_if_a_reply_is_applied_again(self, committed_ada):
        """C121: applying a reply again after a late save sends no signal."""
        row = make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        api.apply_reply(reply.pk)
        type(row).objects.update(state=row.state)
        with received_signals(reply_applied) as received:
            api.apply_waiting(committed_ada, BLOCK, frozenset({"key-1"}))
        assert received == []
        assert waiting_keys(learner_state.read_state(committed_ada, BLOCK, COURSE)) == frozenset()

    def test_signal_is_sent_if_the_score_differs_the_second_time(self, committed_ada, scripted):
        """C121: a signal is sent for each different score, and for a trial run without one."""
        backend = scripted(ApplyResult(True), ApplyResult(True), ApplyResult(True, 1, 2))
        backend.recheck_seconds = 30
        reply = make_reply(make_submission(committed_ada))
        with received_signals(reply_applied) as received:
            for _ in range(3):
                reply.refresh_from_db()
                ReceivedReply.objects.update(status=Status.PENDING, next_attempt_at=timezone.now())
                api.apply_reply(reply.pk)
        assert [sent["points"] for sent in received] == [None, 1]

    def test_signal_is_sent_for_a_stale_reply(self, committed_ada):
        reply = make_reply(make_submission(committed_ada, age=OLD))
        with received_signals(reply_not_applied) as received:
            api.apply_reply(reply.pk)
        problem = "the learner's state does not wait for it"
        assert received == [{"reply_id": reply.pk, "status": "stale", "error": problem}]

    def test_exception_in_a_receiver_has_no_effect(self, committed_ada):
        def fail(**received):
            raise RuntimeError

        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        reply_applied.connect(fail)
        try:
            assert api.apply_reply(reply.pk) == Status.APPLIED
        finally:
            reply_applied.disconnect(fail)


@pytest.mark.usefixtures("without_course_grades")
class TestStatements:
    """Number of statements of an attempt, with BEGIN and COMMIT, without course grades."""

    def test_applied_reply_takes_seven_statements_and_a_lock(
        self, committed_ada, django_assert_num_queries
    ):
        """Read reply, BEGIN, lock row, UPDATE it, history, UPDATE reply, score ledger, COMMIT."""
        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        with django_assert_num_queries(7 + LOCK):
            assert api.apply_reply(reply.pk) == Status.APPLIED

    def test_stale_reply_takes_seven_statements_and_a_lock(
        self, committed_ada, django_assert_num_queries
    ):
        """Read reply, BEGIN, lock row, COMMIT; BEGIN, UPDATE reply, score ledger, COMMIT."""
        make_state(committed_ada, waiting_state(a_2_1="key-2"))
        reply = make_reply(make_submission(committed_ada, age=OLD))
        with django_assert_num_queries(7 + LOCK):
            assert api.apply_reply(reply.pk) == Status.STALE

    def test_call_without_a_due_reply_takes_one_statement(
        self, committed_ada, django_assert_num_queries
    ):
        reply = make_reply(make_submission(committed_ada), next_attempt_at=None)
        with django_assert_num_queries(1):
            api.apply_reply(reply.pk)
        with django_assert_num_queries(1):
            api.apply_waiting(committed_ada, BLOCK, frozenset({"key-9"}))
        with django_assert_num_queries(1):
            api.apply_due()

    def test_reply_with_a_block_lock_takes_thirteen_statements(
        self, committed_ada, django_assert_num_queries, scripted
    ):
        """Read reply, lock (3), claim, mark (4), release (3), select other replies."""
        scripted()
        reply = make_reply(make_submission(committed_ada))
        with django_assert_num_queries(13):
            assert api.apply_reply(reply.pk) == Status.APPLIED


class TestConcurrency:
    def test_concurrent_processes_apply_a_reply_once(self, committed_ada):
        """C116: eight threads with the same reply apply it once."""
        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        with received_signals(reply_applied) as received:
            in_threads([lambda: api.apply_reply(reply.pk)] * 8)
        assert len(received) == 1
        assert StudentModuleHistory.objects.count() == 1
        reply.refresh_from_db()
        assert reply.status == Status.APPLIED

    def test_concurrent_replies_to_eight_parts_are_applied(self, committed_ada):
        """C24, C118: replies to one block that arrive together are all applied."""
        keys = {f"a_{n}_1": f"key-{n}" for n in range(8)}
        make_state(committed_ada, waiting_state(**keys))
        points = dict.fromkeys(keys, 1)
        replies = [
            make_reply(make_submission(committed_ada, key, points=points)) for key in keys.values()
        ]
        in_threads([lambda reply=reply: api.apply_reply(reply.pk) for reply in replies])
        assert learner_state.read_score(committed_ada, BLOCK, COURSE) == learner_state.RawScore(
            8, 8
        )
        assert {
            json.loads(h.state)["score"]["raw_earned"] for h in StudentModuleHistory.objects.all()
        } == set(range(1, 9))

    def test_concurrent_replies_to_one_block_run_the_backend_one_at_a_time(
        self, committed_ada, scripted
    ):
        """C118: replies to one learner's block are applied one after another."""
        running, most = [], []

        def slow(to_apply):
            running.append(1)
            most.append(len(running))
            list(ReceivedReply.objects.all())
            running.pop()
            return ApplyResult(True, 1, 1)

        scripted(slow)
        replies = [make_reply(make_submission(committed_ada, f"key-{n}")) for n in range(8)]
        in_threads([lambda reply=reply: api.apply_reply(reply.pk) for reply in replies])
        assert max(most) == 1
        assert len(most) == 8
        assert set(ReceivedReply.objects.values_list("status", flat=True)) == {Status.APPLIED}


@pytest.mark.parametrize("skew", [timedelta(minutes=-10), timedelta(minutes=10)])
@pytest.mark.django_db(transaction=True)
def test_early_reply_waits_whatever_this_clock_says(skew, settings):
    """C111: only the database's clock says how old a submission is."""
    settings.XQUEUE_BRIDGE = {"STALE_AFTER_SECONDS": 120}
    reply = make_reply(make_submission(make_learner()))
    loaded = queries.with_submission().get(pk=reply.pk)
    loaded.read_at = loaded.submission.created_at + timedelta(seconds=5)
    with time_machine.travel(timezone.now() + skew, tick=False):
        now = timezone.now()
        retry.defer_or_mark_stale(loaded, queries.reply_to_apply(loaded))
    loaded.refresh_from_db()
    assert loaded.status == Status.PENDING
    assert now < loaded.next_attempt_at <= now + timedelta(seconds=115)
