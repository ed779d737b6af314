"""Scores and replies are applied once, in whatever order and however often they come."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.dispatch import Signal
from django.test import Client
from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import LibraryLocatorV2, LibraryUsageLocatorV2

from tests.grader_replies.factories import BLOCK as WAITING_BLOCK
from tests.grader_replies.factories import (
    GOOD,
    OLD,
    heard,
    make_reply,
    make_state,
    make_submission,
    waiting_state,
)
from tests.learner_state.test_user_state import LOCK
from tests.processes import in_processes
from xqueue_bridge import api, signals
from xqueue_bridge.course_grades.models import GradeRecalculation
from xqueue_bridge.data import Dispatch, SavedScore
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.learner_state.history.models import Reason, StudentModuleHistory
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.scores.models import ScoreLedger

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
BLOCK = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@loops")
Outcome = learner_state.Outcome


@pytest.fixture
def ada(db) -> int:
    return get_user_model().objects.create_user("ada").pk


@pytest.fixture
def committed_ada(transactional_db) -> int:
    return get_user_model().objects.create_user("ada").pk


def apply(
    user_id: int, idempotency_key: str = "r1", earned: float = 3, possible: float = 4, **options
):
    return api.apply_score(idempotency_key, user_id, COURSE, BLOCK, earned, possible, **options)


def score_of(user_id: int) -> tuple[float | None, float | None] | None:
    score = api.read_score(user_id, BLOCK, COURSE)
    return score and (score.earned, score.possible)


def learner_score(user_id: int) -> api.RawScore | None:
    return api.read_score(user_id, WAITING_BLOCK, COURSE)


class TestOnce:
    def test_it_works(self, ada):
        assert apply(ada) == api.LedgerResult(Outcome.APPLIED)
        assert score_of(ada) == (3, 4)
        entry = ScoreLedger.objects.get()
        assert (entry.idempotency_key, entry.user_id, entry.course_key) == ("r1", ada, COURSE)
        assert (entry.usage_key, entry.earned, entry.possible) == (BLOCK, 3, 4)
        assert (entry.outcome, entry.duplicate_count) == ("applied", 0)

    def test_five_times(self, committed_ada):
        """SG39, SG43: repeated after whatever happened, a reply changes nothing, successfully."""
        apply(committed_ada + 1, "another")
        with heard(signals.score_saved) as received:
            answers = [apply(committed_ada) for _ in range(5)]
        assert answers == [
            api.LedgerResult(Outcome.APPLIED),
            *[api.LedgerResult(Outcome.APPLIED, True)] * 4,
        ]
        assert StudentModuleHistory.objects.count() == len(received) == 1
        assert GradeRecalculation.objects.get().wanted == 1
        entries = ScoreLedger.objects.order_by("pk").values_list("outcome", "duplicate_count")
        assert list(entries) == [("rejected", 0), ("applied", 4)]

    def test_keys_that_differ_in_case(self, ada):
        """SG39: a reply is not taken for another one whose key is nearly the same."""
        assert [apply(ada, key).repeated for key in ("r1", "R1", "ŕ1")] == [False] * 3

    def test_in_eight_processes(self, committed_ada):
        """SG40: the same reply in eight processes at once is applied by one of them."""
        answers = in_processes([lambda: apply(committed_ada)] * 8)
        assert [answer.repeated for answer in answers].count(False) == 1
        assert {answer.outcome for answer in answers} == {Outcome.APPLIED}
        assert StudentModuleHistory.objects.count() == 1
        assert ScoreLedger.objects.get().duplicate_count == 7

    def test_a_crash_before_the_commit_leaves_nothing(self, committed_ada, monkeypatch):
        """SG43: what was not committed is done when the reply comes again."""

        def crash(**received):
            raise SystemExit

        signals.scores_saving.connect(crash)
        try:
            with pytest.raises(SystemExit):
                apply(committed_ada)
        finally:
            signals.scores_saving.disconnect(crash)
        assert not ScoreLedger.objects.exists()
        assert not StudentModule.objects.exists()
        assert apply(committed_ada) == api.LedgerResult(Outcome.APPLIED)


class TestOrder:
    @pytest.mark.parametrize("second_first", [False, True])
    def test_two_submissions(self, ada, second_first):
        """SG41: the score of the later submission stays, in whatever order they come."""
        first = ("r1", 1), ("r2", 2)
        replies = reversed(first) if second_first else first
        outcomes = {key: apply(ada, key, attempt, attempt=attempt) for key, attempt in replies}
        assert score_of(ada) == (2, 4)
        assert outcomes["r2"].outcome == Outcome.APPLIED
        assert outcomes["r1"].outcome == (Outcome.STALE if second_first else Outcome.APPLIED)
        entries = ScoreLedger.objects.values_list("idempotency_key", "outcome")
        assert dict(entries) == {key: settled.outcome for key, settled in outcomes.items()}

    def test_blocks_that_differ_in_case(self, ada):
        """SG41: a later submission at another block overtakes nothing."""
        upper = UsageKey.from_string(str(BLOCK).replace("@loops", "@Loops"))
        later = api.apply_score("r2", ada, COURSE, upper, 2, 4, attempt=2)
        assert later.outcome == apply(ada, "r1", 1, attempt=1).outcome == Outcome.APPLIED

    def test_many_submissions_in_processes(self, committed_ada):
        """SG41: of eight submissions' replies at once the last submission's counts in the end."""
        in_processes(
            [
                lambda n=n: apply(committed_ada, f"r{n}", n, 8, attempt=n).outcome
                for n in range(1, 9)
            ]
        )
        assert score_of(committed_ada) == (8, 8)

    def test_the_same_reply_under_another_key(self, ada):
        apply(ada, "r1", attempt=1, digest="d")
        assert apply(ada, "r2", 1, attempt=1, digest="d").outcome == Outcome.DUPLICATE
        assert apply(ada, "r3", 1, attempt=1, digest="e").outcome == Outcome.APPLIED
        assert apply(ada, "r4", attempt=1, digest="d").outcome == Outcome.DUPLICATE
        assert score_of(ada) == (1, 4)
        assert apply(ada, "r5", attempt=2, digest="d").outcome == Outcome.APPLIED

    def test_what_overtakes_nothing(self, ada):
        """SG41: another learner's submission, and one whose score did not count."""
        bob = get_user_model().objects.create_user("bob").pk
        assert apply(bob, "bob's", attempt=2).outcome == Outcome.APPLIED
        assert apply(ada, "r2", math.nan, attempt=2).outcome == Outcome.REJECTED
        assert apply(ada, "r1", attempt=1).outcome == Outcome.APPLIED

    def test_a_queue_key_that_is_not_waited_for(self, committed_ada):
        """SG42: state and score are unchanged, and no signal is sent."""
        api.save_fields(committed_ada, COURSE, BLOCK, waiting_state(a_2_1="key-2"))
        before = StudentModule.objects.values().get()
        with heard(signals.score_saved) as received:
            answer = apply(committed_ada, expected_queue_key="key-1")
        assert answer.outcome == Outcome.STALE
        assert StudentModule.objects.values().get() == before
        assert received == []
        assert not GradeRecalculation.objects.exists()
        assert apply(committed_ada, "r2", expected_queue_key="key-2").outcome == Outcome.APPLIED

    def test_state_and_score_are_one_write(self, ada):
        api.save_fields(ada, COURSE, BLOCK, waiting_state(a_2_1="key"))
        apply(ada, expected_queue_key="key", patch_state=lambda state: {**state, "done": False})
        newest = next(api.read_history(ada, BLOCK, COURSE))
        assert (newest.version, newest.state["done"]) == (2, False)
        assert (newest.grade, newest.max_grade, newest.reason) == (3, 4, "reply")

    def test_no_state_waits_for_any_key(self, ada):
        assert apply(ada, expected_queue_key="key").outcome == Outcome.STALE
        assert not StudentModule.objects.exists()


class TestPoints:
    @pytest.mark.parametrize(
        ("old", "new", "is_written"),
        [
            ((2, 4), (3, 4), True),
            ((2, 4), (1, 2), True),
            ((2, 4), (1, 4), False),
            ((0, 4), (0, 0), True),
            ((1, 4), (0, 0), False),
            ((0, 0), (0, 4), True),
        ],
    )
    def test_only_if_higher(self, ada, old, new, is_written):
        """SG45: an equal share replaces, a lower one is reported; 0 of 0 is a share of 0."""
        apply(ada, "r1", *old)
        answer = apply(ada, "r2", *new, only_if_higher=True)
        assert answer.outcome == (Outcome.APPLIED if is_written else Outcome.LOWER)
        assert score_of(ada) == (new if is_written else old)

    def test_published_only_if_higher(self, ada):
        """SG45: the block's own scores keep the same rule, and say whether they were written."""
        block = ada, COURSE, BLOCK
        assert api.publish_score(*block, 2, 4, only_if_higher=True)
        assert not api.publish_score(*block, 1, 4, only_if_higher=True)
        assert not api.publish_score(*block, 2, 4, only_if_higher=True), "nothing to write"
        assert api.publish_score(*block, 1, 2, only_if_higher=True)
        assert not api.publish_score(*block, None, 2, only_if_higher=True), "no points are none"
        assert score_of(ada) == (1, 2)
        assert api.publish_score(*block, 0, 2)
        assert score_of(ada) == (0, 2)

    @pytest.mark.parametrize(
        ("earned", "possible", "score"),
        [(-1, 4, (0, 4)), (5, 4, (4, 4)), (0.5, 4, (0.5, 4)), (3, 0, (0, 0))],
    )
    def test_points_out_of_range(self, ada, earned, possible, score):
        """SG46: below nothing is nothing, above the maximum is the maximum."""
        assert apply(ada, "r1", earned, possible).outcome == Outcome.APPLIED
        assert score_of(ada) == score

    @pytest.mark.parametrize(
        ("earned", "possible"),
        [(math.nan, 4), (math.inf, 4), (1, math.nan), (1, math.inf), (1, -4), (1, -0.5)],
    )
    def test_what_is_no_score(self, ada, earned, possible):
        """SG46: what is not a finite number of points is rejected, visibly."""
        assert apply(ada, "r1", earned, possible).outcome == Outcome.REJECTED
        assert score_of(ada) is None
        entry = ScoreLedger.objects.get()
        assert entry.outcome == "rejected"
        assert entry.earned == (earned if math.isfinite(earned) else None)
        assert entry.possible == (possible if math.isfinite(possible) else None)

    @pytest.mark.parametrize(
        ("published", "stored"),
        [
            ((True, 1), (1, 1)),
            ((Fraction(1, 2), Decimal(2)), (0.5, 2)),
            ((-3, 2), (0, 2)),
            ((9, 2), (2, 2)),
            ((10**400, 2), None),
            ((1, -2), None),
        ],
    )
    def test_what_a_block_computes(self, ada, published, stored):
        """SG46: a block's own points are numbers of any kind, and kept within 0 and its maximum."""
        assert api.publish_score(ada, COURSE, BLOCK, *published) is (stored is not None)
        assert score_of(ada) == stored

    def test_text_is_no_score(self, ada):
        """SG46: a block that publishes something else hears of it."""
        with pytest.raises(ValueError, match="many"):
            api.publish_score(ada, COURSE, BLOCK, "many", 1)
        assert score_of(ada) is None

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_what_is_no_score_from_a_block(self, ada, bad):
        """SG46: a block's own score that is not finite is not stored, and the old one stays."""
        block = ada, COURSE, BLOCK
        assert api.publish_score(*block, 1, 4)
        for points in ((bad, 4), (1, bad)):
            assert not api.publish_score(*block, *points)
            with pytest.raises(ValueError, match="finite"):
                api.set_score(*block, *points)
        assert score_of(ada) == (1, 4)
        assert StudentModuleHistory.objects.count() == 1

    def test_a_rescore_that_lowers(self, ada):
        """SG47: a rescore may lower a score, unless it is only to raise it."""
        apply(ada, "r1", 4, attempt=1)
        rescored = apply(ada, "rescore:1", 1, attempt=1, reason=Reason.SCORE)
        assert rescored.outcome == Outcome.APPLIED
        assert score_of(ada) == (1, 4)

    def test_an_unknown_learner(self, ada):
        for options in ({}, {"expected_queue_key": "key"}):
            answer = apply(ada + 1, f"r{len(options)}", **options)
            assert answer.outcome == Outcome.REJECTED
        assert not StudentModule.objects.exists()


def test_published_score_without_points_has_a_finite_maximum(ada):
    """SG55: points may be missing; a maximum that is not finite is not stored."""
    assert not api.publish_score(ada, COURSE, BLOCK, None, math.inf)
    assert not StudentModule.objects.exists()
    assert api.publish_score(ada, COURSE, BLOCK, None, 3)
    assert api.read_score(ada, BLOCK, COURSE) == api.RawScore(None, 3)


class TestSignals:
    def test_of_a_change(self, committed_ada):
        with heard(signals.scores_saving) as notes, heard(signals.score_saved) as received:
            api.set_score(committed_ada, COURSE, BLOCK, 1, 2)
            api.set_score(committed_ada, COURSE, BLOCK, 1, 2)
            api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 1})
        block = {"user_id": committed_ada, "course_key": COURSE, "usage_key": BLOCK}
        assert notes == [{"scores": [SavedScore(**block, version=1)]}]
        row = StudentModule.objects.get()
        (said,) = received
        assert said.pop("modified") < row.modified
        assert said == {
            **block,
            "earned": 1,
            "possible": 2,
            "version": 1,
            "only_if_higher": False,
            "score_deleted": False,
            "grader_response": False,
        }

    @pytest.mark.parametrize("signal", [signals.score_saved])
    def test_a_receiver_that_raises(self, committed_ada, signal: Signal):
        def fail(**received):
            raise RuntimeError

        signal.connect(fail)
        try:
            assert apply(committed_ada).outcome == Outcome.APPLIED
        finally:
            signal.disconnect(fail)

    def test_a_library_s_score(self, committed_ada):
        """SG49: a score in a library is stored, and no course grade is touched."""
        library = LibraryLocatorV2("DemoX", "LIB")
        usage_key = LibraryUsageLocatorV2(library, "problem", "loops")
        api.apply_score("r1", committed_ada, library, usage_key, 1, 2)
        assert api.read_score(committed_ada, usage_key, library) == api.RawScore(1, 2)
        assert not GradeRecalculation.objects.exists()


class TestReplies:
    """The ledger entries of replies that grader_replies has applied."""

    def entry(self, reply) -> ScoreLedger:
        return ScoreLedger.objects.get(idempotency_key=f"reply:{reply.pk}")

    def test_applied(self, ada):
        """SG39: one reply has one entry, however often it is applied."""
        make_state(ada)
        reply = make_reply(make_submission(ada))
        for _ in range(5):
            grader_replies.apply_reply(reply.pk)
        entry = self.entry(reply)
        assert (entry.outcome, entry.earned, entry.possible) == ("applied", 1, 1)
        block = (entry.user_id, entry.course_key, entry.usage_key)
        assert block == (ada, COURSE, WAITING_BLOCK)
        assert entry.attempt == reply.submission_id
        assert len(entry.digest) == 64
        assert ScoreLedger.objects.count() == StudentModuleHistory.objects.count() == 1

    def test_sent_five_times(self, ada):
        """SG39: a queue that posts a reply five times is told of success, and counted."""
        submission = make_submission(ada)
        reply = make_reply(submission)
        make_state(ada)
        grader_replies.apply_reply(reply.pk)
        assert [grader_replies.record_if_duplicate(submission.pk, GOOD) for _ in range(4)] == [
            True
        ] * 4
        assert self.entry(reply).duplicate_count == 4

    @pytest.mark.parametrize("at_once", [False, True])
    def test_posted_five_times(self, committed_ada, at_once):
        """SG39, SG40: five posts to the LMS's address, as XQueue does, have one effect."""
        make_state(committed_ada)
        block = f"/courses/{COURSE}/xqueue/{committed_ada}/{WAITING_BLOCK}/score_update"
        header = json.dumps({"lms_callback_url": "x", "lms_key": "key-1", "queue_name": "python"})
        form = {"xqueue_header": header, "xqueue_body": GOOD}
        post = lambda: Client().post(quote(block), form).status_code  # noqa: E731
        statuses = in_processes([post] * 5) if at_once else [post() for _ in range(5)]
        assert statuses == [200] * 5
        assert learner_score(committed_ada) == api.RawScore(1, 1)
        assert StudentModuleHistory.objects.count() == 1
        assert GradeRecalculation.objects.get().wanted == 1
        assert ScoreLedger.objects.filter(outcome="applied").count() == 1

    def test_in_eight_processes(self, committed_ada):
        """SG40: eight processes that apply one reply write one score and one entry."""
        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        statuses = in_processes([lambda: str(grader_replies.apply_reply(reply.pk))] * 8)
        assert set(statuses) == {"applied"}
        assert StudentModuleHistory.objects.count() == 1
        assert ScoreLedger.objects.count() == 1
        assert GradeRecalculation.objects.get().wanted == 1

    def test_an_overtaken_reply(self, ada):
        """SG41, SG42: the reply to the former submission is stale, and its entry says so."""
        make_state(ada, waiting_state(a_2_1="key-2"))
        second = make_reply(make_submission(ada, "key-2"))
        first = make_reply(make_submission(ada, "key-1", age=OLD))
        assert grader_replies.apply_reply(second.pk) == "applied"
        assert grader_replies.apply_reply(first.pk) == "stale"
        assert self.entry(first).outcome == "stale"
        assert self.entry(second).outcome == "applied"

    def test_rejected(self, ada):
        """SG39: a stored reply without valid content is rejected when it is applied."""
        make_state(ada)
        reply = make_reply(make_submission(ada), message="")
        grader_replies.apply_reply(reply.pk)
        assert self.entry(reply).outcome == "rejected"

    def test_one_that_got_further(self, ada):
        """SG39: a stale reply that the state waits for after all keeps its one entry."""
        reply = make_reply(make_submission(ada, age=OLD))
        grader_replies.apply_reply(reply.pk)
        assert self.entry(reply).outcome == "stale"
        make_state(ada)
        grader_replies.apply_waiting(ada, WAITING_BLOCK, frozenset({"key-1"}))
        assert self.entry(reply).outcome == "applied"

    def test_a_trial_run(self, ada):
        """SG39: the output of a trial run is no score, whatever becomes of it."""
        run = {"dispatch": Dispatch.UNGRADED_RESPONSE, "age": OLD}
        state = {"input_state": {"a_2_1": {"queuestate": "queued", "queuekey": "key-1"}}}
        make_state(ada, state)
        replies = [make_reply(make_submission(ada, key, **run)) for key in ("key-1", "key-2")]
        assert [grader_replies.apply_reply(reply.pk) for reply in replies] == ["applied", "stale"]
        assert not ScoreLedger.objects.exists()

    def test_an_outcome_and_its_entry_are_one_write(self, ada, monkeypatch):
        """SG39, SG43: what the ledger could not take is not over."""

        def refuse(*args, **kwargs):
            raise DatabaseError

        monkeypatch.setattr(learner_state, "record_outcomes", refuse)
        reply = make_reply(make_submission(ada, age=OLD))
        with pytest.raises(DatabaseError):
            grader_replies.apply_reply(reply.pk)
        reply.refresh_from_db()
        assert (reply.status, reply.attempts) == ("pending", 0)

    def test_not_yet_and_never(self, ada):
        """A reply that can still be applied has no entry."""
        grader_replies.apply_reply(make_reply(make_submission(ada)).pk)
        assert not ScoreLedger.objects.exists()


class TestStatements:
    """BEGIN, COMMIT and savepoints included; course grades are counted there."""

    @pytest.fixture(autouse=True)
    def _without_course_grades(self, settings):
        settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}

    def test_applied(self, committed_ada, django_assert_num_queries):
        """BEGIN, ledger in a savepoint (3), lock, attempts, UPDATE, history, COMMIT."""
        api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 1})
        with django_assert_num_queries(8 + LOCK):
            apply(committed_ada, attempt=1)

    def test_repeated(self, committed_ada, django_assert_num_queries):
        """BEGIN, ledger in a savepoint (4), count, first outcome, COMMIT."""
        apply(committed_ada)
        with django_assert_num_queries(8):
            apply(committed_ada)

    def test_scores_of_a_course(self, committed_ada, django_assert_num_queries):
        for number in range(20):
            usage_key = BLOCK.replace(name=f"b{number}")
            api.set_score(committed_ada, COURSE, usage_key, number, 20)
        api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 1})
        with django_assert_num_queries(1):
            scores = learner_state.read_course_scores(committed_ada, COURSE)
        assert len(scores) == 20
        assert scores[BLOCK.replace(name="b7")].earned == 7
