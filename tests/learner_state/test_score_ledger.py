"""Applying scores and replies once, in any order and with any number of repetitions."""

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
    make_reply,
    make_state,
    make_submission,
    received_signals,
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
    def test_applied_score_has_one_ledger_entry(self, ada):
        assert apply(ada) == api.LedgerResult(Outcome.APPLIED)
        assert score_of(ada) == (3, 4)
        entry = ScoreLedger.objects.get()
        assert (entry.idempotency_key, entry.user_id, entry.course_key) == ("r1", ada, COURSE)
        assert (entry.usage_key, entry.earned, entry.possible) == (BLOCK, 3, 4)
        assert (entry.outcome, entry.duplicate_count) == ("applied", 0)

    def test_score_applied_five_times_is_written_once(self, committed_ada):
        """SG39, SG43: return success for each repetition, count it, and change nothing."""
        apply(committed_ada + 1, "another")
        with received_signals(signals.score_saved) as received:
            answers = [apply(committed_ada) for _ in range(5)]
        assert answers == [
            api.LedgerResult(Outcome.APPLIED),
            *[api.LedgerResult(Outcome.APPLIED, True)] * 4,
        ]
        assert StudentModuleHistory.objects.count() == len(received) == 1
        assert GradeRecalculation.objects.get().wanted == 1
        entries = ScoreLedger.objects.order_by("pk").values_list("outcome", "duplicate_count")
        assert list(entries) == [("rejected", 0), ("applied", 4)]

    def test_keys_that_differ_in_case_or_accent_are_separate(self, ada):
        """SG39: treat idempotency keys that differ in case or in an accent as different."""
        assert [apply(ada, key).repeated for key in ("r1", "R1", "ŕ1")] == [False] * 3

    def test_score_applied_by_eight_processes_is_written_once(self, committed_ada):
        """SG40: write the score in one of eight processes that apply it at once."""
        answers = in_processes([lambda: apply(committed_ada)] * 8)
        assert [answer.repeated for answer in answers].count(False) == 1
        assert {answer.outcome for answer in answers} == {Outcome.APPLIED}
        assert StudentModuleHistory.objects.count() == 1
        assert ScoreLedger.objects.get().duplicate_count == 7

    def test_crash_before_the_commit_leaves_no_row(self, committed_ada, monkeypatch):
        """SG43: apply the score in the next attempt, if nothing was committed."""

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
    def test_score_of_the_later_submission_stays_in_each_order(self, ada, second_first):
        """SG41: keep the score of the later submission, whichever comes first."""
        first = ("r1", 1), ("r2", 2)
        replies = reversed(first) if second_first else first
        outcomes = {key: apply(ada, key, attempt, attempt=attempt) for key, attempt in replies}
        assert score_of(ada) == (2, 4)
        assert outcomes["r2"].outcome == Outcome.APPLIED
        assert outcomes["r1"].outcome == (Outcome.STALE if second_first else Outcome.APPLIED)
        entries = ScoreLedger.objects.values_list("idempotency_key", "outcome")
        assert dict(entries) == {key: result.outcome for key, result in outcomes.items()}

    def test_later_submission_at_a_block_that_differs_in_case_makes_none_stale(self, ada):
        """SG41: apply both scores, because the blocks are different."""
        upper = UsageKey.from_string(str(BLOCK).replace("@loops", "@Loops"))
        later = api.apply_score("r2", ada, COURSE, upper, 2, 4, attempt=2)
        assert later.outcome == apply(ada, "r1", 1, attempt=1).outcome == Outcome.APPLIED

    def test_scores_of_eight_submissions_at_once_leave_that_of_the_last(self, committed_ada):
        """SG41: apply eight submissions' scores at once, and keep that of the last."""
        in_processes(
            [
                lambda n=n: apply(committed_ada, f"r{n}", n, 8, attempt=n).outcome
                for n in range(1, 9)
            ]
        )
        assert score_of(committed_ada) == (8, 8)

    def test_same_digest_of_the_same_attempt_is_a_duplicate(self, ada):
        apply(ada, "r1", attempt=1, digest="d")
        assert apply(ada, "r2", 1, attempt=1, digest="d").outcome == Outcome.DUPLICATE
        assert apply(ada, "r3", 1, attempt=1, digest="e").outcome == Outcome.APPLIED
        assert apply(ada, "r4", attempt=1, digest="d").outcome == Outcome.DUPLICATE
        assert score_of(ada) == (1, 4)
        assert apply(ada, "r5", attempt=2, digest="d").outcome == Outcome.APPLIED

    def test_score_after_those_of_another_learner_or_rejected_is_applied(self, ada):
        """SG41: apply a score after another learner's and after a rejected one."""
        bob = get_user_model().objects.create_user("bob").pk
        assert apply(bob, "bob's", attempt=2).outcome == Outcome.APPLIED
        assert apply(ada, "r2", math.nan, attempt=2).outcome == Outcome.REJECTED
        assert apply(ada, "r1", attempt=1).outcome == Outcome.APPLIED

    def test_queue_key_that_the_state_does_not_wait_for_is_stale(self, committed_ada):
        """SG42: leave state and score unchanged, and send no signal."""
        api.save_fields(committed_ada, COURSE, BLOCK, waiting_state(a_2_1="key-2"))
        before = StudentModule.objects.values().get()
        with received_signals(signals.score_saved) as received:
            answer = apply(committed_ada, expected_queue_key="key-1")
        assert answer.outcome == Outcome.STALE
        assert StudentModule.objects.values().get() == before
        assert received == []
        assert not GradeRecalculation.objects.exists()
        assert apply(committed_ada, "r2", expected_queue_key="key-2").outcome == Outcome.APPLIED

    def test_state_and_score_are_one_history_entry(self, ada):
        api.save_fields(ada, COURSE, BLOCK, waiting_state(a_2_1="key"))
        apply(ada, expected_queue_key="key", patch_state=lambda state: {**state, "done": False})
        newest = next(api.read_history(ada, BLOCK, COURSE))
        assert (newest.version, newest.state["done"]) == (2, False)
        assert (newest.grade, newest.max_grade, newest.reason) == (3, 4, "reply")

    def test_queue_key_without_a_state_is_stale(self, ada):
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
    def test_only_if_higher_replaces_an_equal_or_lower_share(self, ada, old, new, is_written):
        """SG45: replace an equal share, report a lower one; 0 of 0 is a share of 0."""
        apply(ada, "r1", *old)
        answer = apply(ada, "r2", *new, only_if_higher=True)
        assert answer.outcome == (Outcome.APPLIED if is_written else Outcome.LOWER)
        assert score_of(ada) == (new if is_written else old)

    def test_published_score_with_only_if_higher_returns_if_it_was_written(self, ada):
        """SG45: compare a block's own scores alike, and return whether they were written."""
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
    def test_points_out_of_range_are_limited(self, ada, earned, possible, score):
        """SG46: store points below 0 as 0, and above the maximum as the maximum."""
        assert apply(ada, "r1", earned, possible).outcome == Outcome.APPLIED
        assert score_of(ada) == score

    @pytest.mark.parametrize(
        ("earned", "possible"),
        [(math.nan, 4), (math.inf, 4), (1, math.nan), (1, math.inf), (1, -4), (1, -0.5)],
    )
    def test_points_that_are_not_finite_or_negative_maxima_are_rejected(
        self, ada, earned, possible
    ):
        """SG46: write the outcome "rejected" to the ledger, and no score."""
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
            ((1, None), (1, None)),
        ],
    )
    def test_published_numbers_of_each_type_are_stored_within_limits(self, ada, published, stored):
        """SG46: accept numbers of any type, and limit them to 0 and the maximum."""
        assert api.publish_score(ada, COURSE, BLOCK, *published) is (stored is not None)
        assert score_of(ada) == stored

    def test_published_text_is_an_error(self, ada):
        """SG46: raise an error if a block publishes no number."""
        with pytest.raises(ValueError, match="many"):
            api.publish_score(ada, COURSE, BLOCK, "many", 1)
        assert score_of(ada) is None

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 10**400])
    def test_published_points_that_are_not_finite_keep_the_former_score(self, ada, bad):
        """SG46: store no points that are not finite, and keep the former ones."""
        block = ada, COURSE, BLOCK
        assert api.publish_score(*block, 1, 4)
        for points in ((bad, 4), (1, bad)):
            assert not api.publish_score(*block, *points)
            with pytest.raises(ValueError, match="finite"):
                api.set_score(*block, *points)
        assert score_of(ada) == (1, 4)
        assert StudentModuleHistory.objects.count() == 1

    def test_rescore_lowers_the_score(self, ada):
        """SG47: lower the score in a rescore, without ``only_if_higher``."""
        apply(ada, "r1", 4, attempt=1)
        rescored = apply(ada, "rescore:1", 1, attempt=1, reason=Reason.SCORE)
        assert rescored.outcome == Outcome.APPLIED
        assert score_of(ada) == (1, 4)

    def test_score_of_an_unknown_learner_is_rejected(self, ada):
        for options in ({}, {"expected_queue_key": "key"}):
            answer = apply(ada + 1, f"r{len(options)}", **options)
            assert answer.outcome == Outcome.REJECTED
        assert not StudentModule.objects.exists()


def test_published_score_without_points_has_a_finite_maximum(ada):
    """SG55: accept a score without points, and no maximum that is not finite."""
    assert not api.publish_score(ada, COURSE, BLOCK, None, math.inf)
    assert not StudentModule.objects.exists()
    assert api.publish_score(ada, COURSE, BLOCK, None, 3)
    assert api.read_score(ada, BLOCK, COURSE) == api.RawScore(None, 3)


class TestSignals:
    def test_changed_score_sends_each_signal_once(self, committed_ada):
        with (
            received_signals(signals.scores_saving) as notes,
            received_signals(signals.score_saved) as received,
        ):
            api.set_score(committed_ada, COURSE, BLOCK, 1, 2)
            api.set_score(committed_ada, COURSE, BLOCK, 1, 2)
            api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 1})
        block = {"user_id": committed_ada, "course_key": COURSE, "usage_key": BLOCK}
        assert notes == [{"scores": [SavedScore(**block, version=1)]}]
        row = StudentModule.objects.get()
        (values,) = received
        assert values.pop("modified") < row.modified
        assert values == {
            **block,
            "earned": 1,
            "possible": 2,
            "version": 1,
            "only_if_higher": False,
            "score_deleted": False,
            "grader_response": False,
        }

    @pytest.mark.parametrize("signal", [signals.score_saved])
    def test_receiver_that_raises_does_not_stop_the_score(self, committed_ada, signal: Signal):
        def fail(**received):
            raise RuntimeError

        signal.connect(fail)
        try:
            assert apply(committed_ada).outcome == Outcome.APPLIED
        finally:
            signal.disconnect(fail)

    def test_score_in_a_library_requests_no_recalculation(self, committed_ada):
        """SG49: store a score in a library, and request no course grade."""
        library = LibraryLocatorV2("DemoX", "LIB")
        usage_key = LibraryUsageLocatorV2(library, "problem", "loops")
        api.apply_score("r1", committed_ada, library, usage_key, 1, 2)
        assert api.read_score(committed_ada, usage_key, library) == api.RawScore(1, 2)
        assert not GradeRecalculation.objects.exists()


class TestReplies:
    """The ledger entries of replies that grader_replies has applied."""

    def entry(self, reply) -> ScoreLedger:
        return ScoreLedger.objects.get(idempotency_key=f"reply:{reply.pk}")

    def test_reply_applied_five_times_has_one_entry(self, ada):
        """SG39: write one entry for one reply, for any number of repetitions."""
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

    def test_duplicates_of_an_applied_reply_are_counted(self, ada):
        """SG39: return success for four repetitions, and count them."""
        submission = make_submission(ada)
        reply = make_reply(submission)
        make_state(ada)
        grader_replies.apply_reply(reply.pk)
        assert [grader_replies.record_if_duplicate(submission.pk, GOOD) for _ in range(4)] == [
            True
        ] * 4
        assert self.entry(reply).duplicate_count == 4

    @pytest.mark.parametrize("at_once", [False, True])
    def test_result_posted_five_times_is_applied_once(self, committed_ada, at_once):
        """SG39, SG40: apply one of five posts to the callback URL, in order or at once."""
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

    def test_reply_applied_by_eight_processes_writes_one_score_and_entry(self, committed_ada):
        """SG40: write one score and one entry in eight processes."""
        make_state(committed_ada)
        reply = make_reply(make_submission(committed_ada))
        statuses = in_processes([lambda: str(grader_replies.apply_reply(reply.pk))] * 8)
        assert set(statuses) == {"applied"}
        assert StudentModuleHistory.objects.count() == 1
        assert ScoreLedger.objects.count() == 1
        assert GradeRecalculation.objects.get().wanted == 1

    def test_reply_to_the_former_submission_is_stale(self, ada):
        """SG41, SG42: set the reply to the former submission and its entry to stale."""
        make_state(ada, waiting_state(a_2_1="key-2"))
        second = make_reply(make_submission(ada, "key-2"))
        first = make_reply(make_submission(ada, "key-1", age=OLD))
        assert grader_replies.apply_reply(second.pk) == "applied"
        assert grader_replies.apply_reply(first.pk) == "stale"
        assert self.entry(first).outcome == "stale"
        assert self.entry(second).outcome == "applied"

    def test_reply_without_valid_content_is_rejected(self, ada):
        """SG39: write the outcome "rejected" when the stored reply is applied."""
        make_state(ada)
        reply = make_reply(make_submission(ada), message="")
        grader_replies.apply_reply(reply.pk)
        assert self.entry(reply).outcome == "rejected"

    def test_stale_reply_that_is_applied_later_has_one_entry(self, ada):
        """SG39: change the entry of a stale reply to applied, when the state waits for it."""
        reply = make_reply(make_submission(ada, age=OLD))
        grader_replies.apply_reply(reply.pk)
        assert self.entry(reply).outcome == "stale"
        make_state(ada)
        grader_replies.apply_waiting(ada, WAITING_BLOCK, frozenset({"key-1"}))
        assert self.entry(reply).outcome == "applied"

    def test_ungraded_response_has_no_entry(self, ada):
        """SG39: write no entry for an ungraded response, applied or stale."""
        run = {"dispatch": Dispatch.UNGRADED_RESPONSE, "age": OLD}
        state = {"input_state": {"a_2_1": {"queuestate": "queued", "queuekey": "key-1"}}}
        make_state(ada, state)
        replies = [make_reply(make_submission(ada, key, **run)) for key in ("key-1", "key-2")]
        assert [grader_replies.apply_reply(reply.pk) for reply in replies] == ["applied", "stale"]
        assert not ScoreLedger.objects.exists()

    def test_reply_stays_pending_if_its_entry_cannot_be_written(self, ada, monkeypatch):
        """SG39, SG43: roll the reply's status back, if the ledger's entry fails."""

        def refuse(*args, **kwargs):
            raise DatabaseError

        monkeypatch.setattr(learner_state, "record_outcomes", refuse)
        reply = make_reply(make_submission(ada, age=OLD))
        with pytest.raises(DatabaseError):
            grader_replies.apply_reply(reply.pk)
        reply.refresh_from_db()
        assert (reply.status, reply.attempts) == ("pending", 0)

    def test_pending_reply_has_no_entry(self, ada):
        """Write no entry for a reply that can still be applied."""
        grader_replies.apply_reply(make_reply(make_submission(ada)).pk)
        assert not ScoreLedger.objects.exists()


@pytest.mark.usefixtures("without_course_grades")
class TestStatements:
    """Statements including BEGIN, COMMIT and savepoints, without those of course grades."""

    def test_applied_score_takes_a_constant_number_of_statements(
        self, committed_ada, django_assert_num_queries
    ):
        """BEGIN, ledger in a savepoint (3), lock, attempts, UPDATE, history, COMMIT."""
        api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 1})
        with django_assert_num_queries(8 + LOCK):
            apply(committed_ada, attempt=1)

    def test_repeated_score_takes_eight_statements(self, committed_ada, django_assert_num_queries):
        """BEGIN, ledger in a savepoint (4), count, first outcome, COMMIT."""
        apply(committed_ada)
        with django_assert_num_queries(8):
            apply(committed_ada)

    def test_scores_of_a_course_take_one_statement(self, committed_ada, django_assert_num_queries):
        for number in range(20):
            usage_key = BLOCK.replace(name=f"b{number}")
            api.set_score(committed_ada, COURSE, usage_key, number, 20)
        api.save_fields(committed_ada, COURSE, BLOCK, {"seed": 1})
        with django_assert_num_queries(1):
            scores = learner_state.read_course_scores(committed_ada, COURSE)
        assert len(scores) == 20
        assert scores[BLOCK.replace(name="b7")].earned == 7
