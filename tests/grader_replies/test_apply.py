"""When a stored reply is tried, and what an attempt comes to."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from tests.db.test_transactions import collision
from tests.grader_replies.factories import (
    BLOCK,
    COURSE,
    GOOD,
    OLD,
    ScriptedRecorder,
    heard,
    make_learner,
    make_reply,
    make_state,
    make_submission,
    waiting_state,
)
from tests.learner_state.test_user_state import LOCK, in_threads
from xqueue_bridge.data import ApplyResult, Dispatch
from xqueue_bridge.exceptions import PermanentApplyError, TransientApplyError
from xqueue_bridge.grader_replies import api, apply, queries
from xqueue_bridge.grader_replies.apply import DRAIN_LIMIT, PERMANENT_ATTEMPTS
from xqueue_bridge.grader_replies.locks import block_lock
from xqueue_bridge.grader_replies.models import BlockLock, ReceivedReply
from xqueue_bridge.learner_state import api as ledger
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.history.models import StudentModuleHistory
from xqueue_bridge.learner_state.scores.models import ScoreLedger
from xqueue_bridge.lms.capa import waiting_keys
from xqueue_bridge.signals import reply_applied, reply_not_applied

Status = ReceivedReply.Status


@pytest.fixture
def ada(db) -> int:
    return make_learner()


@pytest.fixture
def committed_ada(transactional_db) -> int:
    return make_learner()


@pytest.fixture
def scripted(monkeypatch):
    """Have deliveries recorded by a script."""

    def install(*script):
        backend = ScriptedRecorder(*script)
        monkeypatch.setattr(apply, "get_reply_backend", lambda: backend)
        return backend

    return install


def due_again(reply):
    """Deliver a reply at the moment that it is due, as the sweeper does."""
    reply.refresh_from_db()
    with time_machine.travel(reply.next_attempt_at + timedelta(milliseconds=1), tick=False):
        status = api.apply_reply(reply.pk)
    reply.refresh_from_db()
    return status


class TestState:
    """Through the backend "state", the default."""

    def test_it_works(self, ada):
        """C113: correctness, points and message are set, nothing waits, the grade is updated."""
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

    def test_twice_is_once(self, ada):
        """C116: delivering the same reply again has no effect."""
        make_state(ada)
        reply = make_reply(make_submission(ada))
        api.apply_reply(reply.pk)
        before = learner_state.read_state(ada, BLOCK, COURSE)
        assert api.apply_reply(reply.pk) == Status.APPLIED
        assert learner_state.read_state(ada, BLOCK, COURSE) == before
        assert StudentModuleHistory.objects.count() == 1

    def test_a_second_reply_for_the_same_key_changes_nothing(self, ada):
        """C115, C116: the key is used up by the first reply."""
        make_state(ada)
        submission = make_submission(ada, age=OLD)
        api.apply_reply(make_reply(submission).pk)
        worse = make_reply(submission, '{"correct": false, "score": 0, "msg": "no"}')
        assert api.apply_reply(worse.pk) == Status.STALE
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 1

    def test_a_stale_reply_changes_nothing(self, ada):
        """C111, C115: the learner has answered again, and waits for another key."""
        make_state(ada, waiting_state(a_2_1="key-2"))
        before = learner_state.read_state(ada, BLOCK, COURSE)
        reply = make_reply(make_submission(ada, age=OLD))
        assert api.apply_reply(reply.pk) == Status.STALE
        assert learner_state.read_state(ada, BLOCK, COURSE) == before
        assert not StudentModuleHistory.objects.exists()
        reply.refresh_from_db()
        assert reply.next_attempt_at is None

    @pytest.mark.parametrize("state", [None, {}, {"correct_map": {}}], ids=["row", "empty", "map"])
    def test_an_early_reply_waits_for_the_state(self, ada, state):
        """C20, C111: a reply that is faster than the save is applied after it."""
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

    def test_an_early_reply_waits_no_longer_than_the_grace_period(self, ada, settings):
        """C111: the grace period ends, and with it the attempts."""
        settings.XQUEUE_BRIDGE = {"STALE_AFTER_SECONDS": 100}
        make_state(ada, waiting_state(a_2_1="key-2"))
        submission = make_submission(ada)
        reply = make_reply(submission)
        status = api.apply_reply(reply.pk)
        while status == Status.PENDING:
            reply.refresh_from_db()
            assert reply.next_attempt_at <= submission.created_at + timedelta(seconds=100)
            status = due_again(reply)
            assert reply.attempts < 12
        assert status == Status.STALE
        assert reply.attempts >= 5

    def test_after_the_last_attempt_or_the_due_date(self, ada):
        """C119: a reply counts though the problem is closed by now."""
        closed = {**waiting_state(a_2_1="key-1"), "attempts": 5}
        make_state(ada, closed)
        assert api.apply_reply(make_reply(make_submission(ada, age=OLD)).pk) == Status.APPLIED
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 1

    def test_a_learner_without_enrolment(self, ada):
        """C120: the grade is recorded for whoever answered; nothing asks for access."""
        make_state(ada)
        assert api.apply_reply(make_reply(make_submission(ada)).pk) == Status.APPLIED

    def test_an_unknown_learner_is_given_up_soon(self, committed_ada):
        """C107: after few attempts the reply is dead, and operators see why."""
        reply = make_reply(make_submission(committed_ada + 1))
        with heard(reply_not_applied) as received:
            status = api.apply_reply(reply.pk)
            while status == Status.PENDING:
                status = due_again(reply)
        assert (status, reply.attempts) == (Status.DEAD, PERMANENT_ATTEMPTS)
        assert reply.last_error == "There is no such learner."
        assert reply.next_attempt_at is None
        assert received == [{"reply_id": reply.pk, "status": "dead", "error": reply.last_error}]

    def test_two_parts_in_any_order(self, ada):
        """C24: each of two answers gets its own reply."""
        make_state(ada, waiting_state(a_2_1="key-1", a_3_1="key-2"))
        points = {"a_2_1": 1, "a_3_1": 1}
        first = make_reply(make_submission(ada, "key-1", points=points))
        second = make_reply(make_submission(ada, "key-2", points=points))
        assert api.apply_reply(second.pk) == api.apply_reply(first.pk) == Status.APPLIED
        assert learner_state.read_score(ada, BLOCK, COURSE) == learner_state.RawScore(2, 2)

    def test_both_numbers_are_kept(self, ada):
        """C94: what the grader gave and what the learner got, where they differ."""
        make_state(ada)
        submission = make_submission(ada)
        body = '{"correct": true, "score": 5, "msg": "x"}'
        reply_id = api.store_reply(submission.pk, "callback", body, reply=api.parse_reply(body))
        api.apply_reply(reply_id)
        reply = ReceivedReply.objects.get(pk=reply_id)
        assert (reply.score_given, reply.score_applied) == (5, 1)

    def test_fractions(self, ada, settings):
        """C95: a queue whose scores are fractions."""
        settings.XQUEUE_BRIDGE = {"QUEUES": {"python": {"SCORE_SCALE": "fraction"}}}
        make_state(
            ada, {**waiting_state(a_2_1="key-1"), "score": {"raw_earned": 0, "raw_possible": 10}}
        )
        body = '{"correct": false, "score": 0.5, "msg": "half"}'
        api.apply_reply(make_reply(make_submission(ada, points={"a_2_1": 10}), body).pk)
        assert learner_state.read_score(ada, BLOCK, COURSE) == learner_state.RawScore(5, 10)

    def test_the_notice_ends_the_wait(self, ada):
        """C123: a given-up submission is delivered like a reply, with the same key."""
        make_state(ada)
        reply_id = api.store_failure_reply(make_submission(ada).pk)
        assert api.apply_reply(reply_id) == Status.APPLIED
        entry = learner_state.read_state(ada, BLOCK, COURSE)["correct_map"]["a_2_1"]
        assert (entry["correctness"], entry["npoints"]) == ("incomplete", 0)
        assert "could not be graded" in entry["msg"]
        assert learner_state.read_state(ada, BLOCK, COURSE)["attempts"] == 0, "it is not counted"

    def test_a_reply_that_is_none_is_rejected_not_applied(self, ada):
        """C112: a pending row without a parsed reply changes no state."""
        make_state(ada)
        before = learner_state.read_state(ada, BLOCK, COURSE)
        reply = make_reply(make_submission(ada), correct=None, message="")
        assert api.apply_reply(reply.pk) == Status.REJECTED
        assert learner_state.read_state(ada, BLOCK, COURSE) == before
        reply.refresh_from_db()
        assert reply.last_error == "there is no valid reply to apply"


class TestDeliverFor:
    """Called when a learner's state was saved that waits for keys."""

    def test_an_early_reply_is_applied_at_once(self, ada):
        """C20: no sweeper is needed for a reply that came before the save."""
        reply = make_reply(make_submission(ada))
        api.apply_reply(reply.pk)
        make_state(ada)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        reply.refresh_from_db()
        assert (reply.status, reply.attempts) == (Status.APPLIED, 1), "counted from the save"

    def test_the_first_of_two_replies_counts(self, ada):
        """C88, C115: the key is used up by the reply that came first."""
        submission = make_submission(ada)
        make_reply(submission)
        make_reply(submission, '{"correct": false, "score": 0, "msg": "no"}')
        make_state(ada)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 1

    def test_nothing_to_deliver_asks_for_no_recorder(self, ada, settings):
        settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "nowhere.ReplyBackend"}
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))

    def test_what_a_late_save_undid_is_done_again(self, ada):
        """C118: a page loaded before the reply saves after it; the result is not lost."""
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

    def test_a_stale_or_dead_one_lives_again(self, ada):
        submission = make_submission(ada, age=OLD)
        for status in (Status.STALE, Status.DEAD):
            make_state(ada)
            ReceivedReply.objects.all().delete()
            reply = make_reply(submission, status=status, next_attempt_at=None, attempts=24)
            api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
            reply.refresh_from_db()
            assert reply.status == Status.APPLIED

    def test_a_rejected_one_does_not(self, ada):
        """C112: what was refused stays refused."""
        make_state(ada)
        reply = make_reply(make_submission(ada), status=Status.REJECTED, next_attempt_at=None)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        reply.refresh_from_db()
        assert reply.status == Status.REJECTED

    def test_other_places_and_keys_are_left_alone(self, ada):
        """C115: a key is one learner's at one block."""
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

    def test_a_key_used_twice_is_the_newer_submissions(self, ada):
        """C21: capa gives two answers within a second the same key; the old reply stays old."""
        make_state(ada)
        older = make_reply(make_submission(ada), status=Status.APPLIED, next_attempt_at=None)
        make_submission(ada)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        older.refresh_from_db()
        assert older.attempts == 0
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 0


class TestOneKeyTwice:
    """Capa gives two answers of the same second the same key."""

    def test_the_older_answers_reply_is_late(self, ada):
        """C21, C115: the state shows the newer answer, and waits for a reply to that one."""
        make_state(ada)
        older, newer = (make_submission(ada, age=OLD) for _ in range(2))
        assert api.apply_reply(make_reply(older).pk) == Status.STALE
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 0
        assert api.apply_reply(make_reply(newer).pk) == Status.APPLIED
        assert learner_state.read_score(ada, BLOCK, COURSE).earned == 1

    def test_a_second_look_at_the_older_one_is_the_last(self, ada, scripted):
        """C21, C118: what the older answer got is not given to the newer."""
        backend = scripted(ApplyResult(True, 1, 1))
        backend.recheck_seconds = 30
        reply = make_reply(make_submission(ada))
        api.apply_reply(reply.pk)
        make_submission(ada)
        assert due_again(reply) == Status.APPLIED
        assert (len(backend.deliveries), reply.next_attempt_at) == (1, None)

    @pytest.mark.parametrize(
        "other", [{"dispatch": Dispatch.UNGRADED_RESPONSE}, {"usage_key": BLOCK.replace(name="b")}]
    )
    def test_a_trial_run_replaces_no_answer(self, ada, other):
        """C25: nor does an answer elsewhere."""
        make_state(ada)
        reply = make_reply(make_submission(ada))
        make_submission(ada, **other)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        reply.refresh_from_db()
        assert reply.status == Status.APPLIED


class TestAttempts:
    """Whatever the backend."""

    def test_transient_problems_are_tried_again_for_hours(self, ada, scripted, settings):
        """C106: with pauses that double, vary, and have an upper limit; then it is dead."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 24}
        scripted(TransientApplyError("The LMS answered 503."))
        reply = make_reply(make_submission(ada))
        pauses = []
        status = api.apply_reply(reply.pk)
        while status == Status.PENDING:
            reply.refresh_from_db()
            due = reply.next_attempt_at
            status = due_again(reply)
            if reply.next_attempt_at:
                pauses.append((reply.next_attempt_at - due).total_seconds())
        assert status == Status.DEAD
        assert reply.attempts == 24
        assert reply.last_error == "The LMS answered 503."
        assert timedelta(hours=3) < timedelta(seconds=sum(pauses)) < timedelta(hours=24)
        for n, pause in enumerate(pauses, start=2):
            assert min(2.0**n, 3600) * 0.49 < pause < min(2.0**n, 3600) * 1.01
        assert len({round(pause / min(2.0**n, 3600), 3) for n, pause in enumerate(pauses, 2)}) > 5

    def test_permanent_problems_are_tried_a_few_times(self, ada, scripted):
        """C107: a missing learner or block may be on its way; then the reply is dead."""
        scripted(PermanentApplyError("The LMS answered 404."))
        reply = make_reply(make_submission(ada))
        assert api.apply_reply(reply.pk) == Status.PENDING
        assert due_again(reply) == Status.PENDING
        assert due_again(reply) == Status.DEAD
        assert reply.attempts == PERMANENT_ATTEMPTS

    def test_the_next_attempt_can_succeed(self, ada, scripted):
        """C91: the reply is kept, and delivered once that is possible."""
        backend = scripted(TransientApplyError("busy"), ApplyResult(True, 0.5, 1))
        reply = make_reply(make_submission(ada))
        assert api.apply_reply(reply.pk) == Status.PENDING
        assert due_again(reply) == Status.APPLIED
        assert (reply.score_applied, reply.last_error) == (0.5, "")
        assert len(backend.deliveries) == 2

    def test_not_before_it_is_due(self, ada, scripted):
        """C106: a wake-up does not cut the pause short."""
        backend = scripted(TransientApplyError("busy"))
        with time_machine.travel(timezone.now(), tick=False):
            reply = make_reply(make_submission(ada))
            api.apply_reply(reply.pk)
            assert api.apply_reply(reply.pk) == Status.PENDING
            assert api.apply_due() == 0
        assert len(backend.deliveries) == 1

    def test_a_new_one_is_due_whatever_the_clock_says(self, ada, scripted):
        scripted()
        tomorrow = timezone.now() + timedelta(days=1)
        reply = make_reply(make_submission(ada), next_attempt_at=tomorrow)
        assert api.apply_reply(reply.pk) == Status.APPLIED

    def test_foreign_exceptions_are_transient_and_say_nothing(self, ada, scripted, caplog):
        """C106: the host's exception counts as transient; its message may hold anything."""
        scripted(RuntimeError("key-1 and <p>All tests passed.</p>"))
        reply = make_reply(make_submission(ada))
        with caplog.at_level(logging.DEBUG):
            assert api.apply_reply(reply.pk) == Status.PENDING
        reply.refresh_from_db()
        assert reply.last_error == "RuntimeError"
        assert "key-1" not in caplog.text
        assert "tests passed" not in caplog.text

    def test_the_attempt_counts_before_foreign_code_runs(self, ada, scripted):
        """C107: a reply that kills its deliverer is given up in the end, too."""

        def die(delivery):
            raise SystemExit

        scripted(die)
        reply = make_reply(make_submission(ada))
        with pytest.raises(SystemExit):
            api.apply_reply(reply.pk)
        reply.refresh_from_db()
        assert reply.attempts == 1
        assert reply.next_attempt_at > timezone.now()
        assert not BlockLock.objects.exists()

    def test_a_deliverer_that_is_killed_every_time(self, ada, scripted, settings):
        """C106, C107: nothing says so, but the attempts have an end all the same."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 3}

        def die(delivery):
            raise SystemExit

        backend = scripted(die)
        reply = make_reply(make_submission(ada))
        for _ in range(3):
            with pytest.raises(SystemExit):
                due_again(reply)
        assert due_again(reply) == Status.DEAD
        assert len(backend.deliveries) == 3
        assert reply.last_error == "an attempt began and did not end"
        assert reply.next_attempt_at is None

    def test_killed_once(self, ada, scripted, settings):
        """C20, C107: a reply that waits for its state is tried on, however often it was."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 2, "STALE_AFTER_SECONDS": 100_000}

        def die(delivery):
            raise SystemExit

        scripted(die, ApplyResult(False), ApplyResult(False), ApplyResult(True, 1, 1))
        reply = make_reply(make_submission(ada))
        with pytest.raises(SystemExit):
            due_again(reply)
        for _ in range(2):
            assert due_again(reply) == Status.PENDING
        assert due_again(reply) == Status.APPLIED
        assert (reply.attempts, reply.last_error) == (4, "")

    def test_the_note_is_written_again_where_the_database_collides(
        self, committed_ada, scripted, monkeypatch
    ):
        """C116: the block has the reply and would not take it again; so the note must not fail."""
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
        assert (len(backend.deliveries), len(calls)) == (1, 2)

    def test_the_delivery_tells_all(self, ada, scripted):
        backend = scripted()
        submission = make_submission(ada, points={"a_2_1": 10})
        api.apply_reply(make_reply(submission).pk)
        (delivery,) = backend.deliveries
        assert delivery.target == submission.target
        assert delivery.queue_key == "key-1"
        assert delivery.header == submission.content.header
        assert delivery.reply == api.parse_reply(GOOD)
        assert delivery.points == {"a_2_1": 10}
        assert delivery.sent_at == submission.created_at

    def test_what_was_applied_is_looked_at_once_more(self, ada, scripted, caplog):
        """C118: a save of the host's own can undo a result; once is looked, and no more."""
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
    def test_what_was_applied_stays_applied(self, ada, scripted, second):
        """C118: applied again, or not to be looked at: either way it is over."""
        backend = scripted(ApplyResult(True, 1, 1), second)
        backend.recheck_seconds = 30
        reply = make_reply(make_submission(ada))
        api.apply_reply(reply.pk)
        for _ in range(PERMANENT_ATTEMPTS):
            if reply.status == Status.PENDING or reply.next_attempt_at:
                assert due_again(reply) == Status.APPLIED
        assert reply.next_attempt_at is None


class TestTurns:
    """Foreign code runs for one learner's block once at a time."""

    def test_a_taken_turn_leaves_the_reply_due(self, ada, scripted):
        """C118: whoever finds the turn taken leaves the reply to its holder."""
        backend = scripted()
        reply = make_reply(make_submission(ada))
        with block_lock(ada, BLOCK):
            assert api.apply_reply(reply.pk) == Status.PENDING
        reply.refresh_from_db()
        assert (reply.attempts, backend.deliveries) == (0, [])
        assert api.apply_due() == 1
        reply.refresh_from_db()
        assert reply.status == Status.APPLIED

    def test_the_holder_takes_along_what_was_left(self, ada, scripted):
        """C24, C118: a reply that came during a delivery is delivered right after it."""
        late = []

        def meanwhile(delivery):
            if not late:
                late.append(make_reply(make_submission(ada, "key-2")))
                assert api.apply_reply(late[0].pk) == Status.PENDING
            return ApplyResult(True, 1, 1)

        backend = scripted(meanwhile)
        api.apply_reply(make_reply(make_submission(ada)).pk)
        late[0].refresh_from_db()
        assert late[0].status == Status.APPLIED
        assert [delivery.queue_key for delivery in backend.deliveries] == ["key-1", "key-2"]

    def test_what_was_delivered_before_the_turn_came(self, ada, scripted, monkeypatch):
        """C116: what was read before the turn is not true in it."""
        backend = scripted()
        reply = make_reply(make_submission(ada))

        def another_is_faster(*place):
            monkeypatch.setattr(apply, "block_lock", block_lock)
            api.apply_reply(reply.pk)
            return block_lock(*place)

        monkeypatch.setattr(apply, "block_lock", another_is_faster)
        assert api.apply_reply(reply.pk) == Status.APPLIED
        assert len(backend.deliveries) == 1

    @pytest.mark.parametrize(
        "step", [ApplyResult(True, 1, 1), ApplyResult(False), TransientApplyError("x" * 300)]
    )
    def test_an_attempt_is_one_reply_s(self, ada, scripted, step):
        """C106: what is due at the same moment is not counted with it."""
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

    def test_what_is_elsewhere_is_not_taken_along(self, ada, scripted):
        """C118: a turn is for one learner's block."""
        backend = scripted()
        make_reply(make_submission(make_learner("bob"), "bob's"))
        make_reply(make_submission(ada, "lists", usage_key=BLOCK.replace(name="lists")))
        api.apply_reply(make_reply(make_submission(ada)).pk)
        assert [delivery.queue_key for delivery in backend.deliveries] == ["key-1"]

    @pytest.mark.parametrize("status", [Status.PENDING, Status.APPLIED])
    def test_a_state_saved_during_an_attempt(self, ada, scripted, status, caplog):
        """C118: the attempt looked before the save, and has no say in what comes after it."""

        def saved_meanwhile(delivery):
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
    def test_a_block_that_saves_and_fails_every_time(self, ada, scripted, settings, status):
        """C106: a save of the block's own, in the attempt, does not start the count again."""
        settings.XQUEUE_BRIDGE = {"MAX_ATTEMPTS": 3}

        def save_and_fail(delivery):
            api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
            raise TransientApplyError("The block has not taken the reply.")

        backend = scripted(save_and_fail)
        reply = make_reply(make_submission(ada), status=status)
        while reply.next_attempt_at:
            due_again(reply)
            assert len(backend.deliveries) <= 3
        assert reply.status == (Status.DEAD if status == Status.PENDING else Status.APPLIED)
        api.apply_waiting(ada, BLOCK, frozenset({"key-1"}))
        assert len(backend.deliveries) == 4

    def test_there_is_an_end_to_taking_along(self, ada, scripted):
        count = iter(range(1000))

        def another(delivery):
            make_reply(make_submission(ada, f"key {next(count)}"))
            return ApplyResult(True, 1, 1)

        backend = scripted(another)
        api.apply_reply(make_reply(make_submission(ada)).pk)
        assert len(backend.deliveries) == DRAIN_LIMIT

    def test_no_transaction_is_open_while_foreign_code_runs(self, committed_ada, scripted):
        seen = []

        def look(delivery):
            seen.append(connection.in_atomic_block)
            return ApplyResult(True, 1, 1)

        scripted(look)
        api.apply_reply(make_reply(make_submission(committed_ada)).pk)
        assert seen == [False]


class TestSweep:
    def test_the_longest_overdue_comes_first(self, ada, scripted):
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
        assert [delivery.queue_key for delivery in backend.deliveries] == [
            "3 minutes",
            "2 minutes",
        ]
        assert api.apply_due() == 1
        assert api.apply_due() == 0

    def test_a_wrong_setting_is_one_error(self, ada, settings, caplog):
        settings.XQUEUE_BRIDGE = {"REPLY_BACKEND": "nowhere.ReplyBackend"}
        make_reply(make_submission(ada))
        with pytest.raises(ImportError):
            api.apply_due()
        assert caplog.text == ""

    def test_one_bad_reply_does_not_stop_the_others(self, ada, scripted, monkeypatch, caplog):
        scripted()
        first, second = (make_reply(make_submission(ada, key)) for key in ("key-1", "key-2"))
        load = apply._load

        def fail_once(reply_id):
            if reply_id == first.pk:
                raise RuntimeError("key-1")
            return load(reply_id)

        monkeypatch.setattr(apply, "_load", fail_once)
        assert api.apply_due() == 2
        second.refresh_from_db()
        assert second.status == Status.APPLIED
        assert "RuntimeError" in caplog.text
        assert "key-1" not in caplog.text

    def test_what_cannot_be_tried_keeps_nobody_waiting_for_ever(self, ada, scripted, settings):
        """C106: it has its pauses and its end, too, and the others their turn between them."""
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

    def test_what_failed_after_its_end_stays_ended(self, ada, scripted, monkeypatch):
        """C116: what came to its end before the exception is not tried again."""
        backend = scripted()

        def fail(reply, tried):
            raise RuntimeError

        monkeypatch.setattr(queries, "next_for_same_block", fail)
        reply = make_reply(make_submission(ada))
        assert api.apply_due() == 1
        reply.refresh_from_db()
        assert (reply.status, reply.attempts, reply.last_error) == (Status.APPLIED, 1, "")
        assert len(backend.deliveries) == 1


class TestSignals:
    def test_applied(self, committed_ada):
        """C121: exactly one piece of news for one result, with the learner's numbers."""
        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        with heard(reply_applied) as received:
            api.apply_reply(reply.pk)
            api.apply_reply(reply.pk)
        assert received == [
            {
                "reply_id": reply.pk,
                "user_id": committed_ada,
                "course_key": COURSE,
                "usage_key": BLOCK,
                "dispatch": "score_update",
                "points": 1,
                "max_points": 1,
            }
        ]

    def test_restored(self, committed_ada):
        """C121: doing again what a save undid is no news."""
        row = make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        api.apply_reply(reply.pk)
        type(row).objects.update(state=row.state)
        with heard(reply_applied) as received:
            api.apply_waiting(committed_ada, BLOCK, frozenset({"key-1"}))
        assert received == []
        assert waiting_keys(learner_state.read_state(committed_ada, BLOCK, COURSE)) == frozenset()

    def test_again_with_other_numbers(self, committed_ada, scripted):
        """C121: what a host hears of is each number that a learner got, and a run without one."""
        backend = scripted(ApplyResult(True), ApplyResult(True), ApplyResult(True, 1, 2))
        backend.recheck_seconds = 30
        reply = make_reply(make_submission(committed_ada))
        with heard(reply_applied) as received:
            for _ in range(3):
                reply.refresh_from_db()
                ReceivedReply.objects.update(status=Status.PENDING, next_attempt_at=timezone.now())
                api.apply_reply(reply.pk)
        assert [said["points"] for said in received] == [None, 1]

    def test_not_applied(self, committed_ada):
        reply = make_reply(make_submission(committed_ada, age=OLD))
        with heard(reply_not_applied) as received:
            api.apply_reply(reply.pk)
        problem = "the learner's state does not wait for it"
        assert received == [{"reply_id": reply.pk, "status": "stale", "error": problem}]

    def test_a_receiver_that_raises_stops_nothing(self, committed_ada):
        def fail(**received):
            raise RuntimeError

        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        reply_applied.connect(fail)
        try:
            assert api.apply_reply(reply.pk) == Status.APPLIED
        finally:
            reply_applied.disconnect(fail)


class TestStatements:
    """What a delivery itself costs, BEGIN and COMMIT included; course grades are counted there."""

    @pytest.fixture(autouse=True)
    def _without_course_grades(self, settings):
        settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}

    def test_applied(self, committed_ada, django_assert_num_queries):
        """Read reply, BEGIN, lock row, UPDATE it, history, UPDATE reply, score ledger, COMMIT."""
        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        with django_assert_num_queries(7 + LOCK):
            assert api.apply_reply(reply.pk) == Status.APPLIED

    def test_not_waiting(self, committed_ada, django_assert_num_queries):
        """Read reply, BEGIN, lock row, COMMIT; BEGIN, UPDATE reply, score ledger, COMMIT."""
        make_state(committed_ada, waiting_state(a_2_1="key-2"))
        reply = make_reply(make_submission(committed_ada, age=OLD))
        with django_assert_num_queries(7 + LOCK):
            assert api.apply_reply(reply.pk) == Status.STALE

    def test_nothing_to_do(self, committed_ada, django_assert_num_queries):
        reply = make_reply(make_submission(committed_ada), next_attempt_at=None)
        with django_assert_num_queries(1):
            api.apply_reply(reply.pk)
        with django_assert_num_queries(1):
            api.apply_waiting(committed_ada, BLOCK, frozenset({"key-9"}))
        with django_assert_num_queries(1):
            api.apply_due()

    def test_in_turn(self, committed_ada, django_assert_num_queries, scripted):
        """Read reply, turn (3), claim, mark (4), give it back (3), look for others."""
        scripted()
        reply = make_reply(make_submission(committed_ada))
        with django_assert_num_queries(13):
            assert api.apply_reply(reply.pk) == Status.APPLIED


class TestConcurrency:
    def test_one_reply_many_deliverers(self, committed_ada):
        """C116: eight deliverers of the same reply apply it once."""
        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        with heard(reply_applied) as received:
            in_threads([lambda: api.apply_reply(reply.pk)] * 8)
        assert len(received) == 1
        assert StudentModuleHistory.objects.count() == 1
        reply.refresh_from_db()
        assert reply.status == Status.APPLIED

    def test_eight_parts_at_once(self, committed_ada):
        """C24, C118: results for one block that arrive together are all applied."""
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

    def test_foreign_code_never_runs_twice_at_once(self, committed_ada, scripted):
        """C118: deliveries to one learner's block are one after the other."""
        running, most = [], []

        def slow(delivery):
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
