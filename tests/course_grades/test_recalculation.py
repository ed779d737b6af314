"""Recalculations of one learner's course grade after a change of scores or of the course."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from opaque_keys.edx.keys import CourseKey

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY, block, subsection
from tests.course_grades.factories import (
    COURSE,
    E1,
    EXERCISE,
    HOMEWORK,
    P1,
    P2,
    make_learner,
    percent,
    publish,
    recalculate_pending,
    received_grade_signals,
    request_of,
    score,
    stored,
    sweep_later,
)
from tests.learner_state.test_user_state import LOCK
from xqueue_bridge import handlers
from xqueue_bridge.course_grades import api, recalculation, recalculation_queue
from xqueue_bridge.course_grades.grade_update import StaleCourseStructure
from xqueue_bridge.course_grades.models import (
    GradeRecalculation,
    PersistentCourseGrade,
    PersistentSubsectionGrade,
    VisibleBlocks,
)
from xqueue_bridge.course_structure.models import CourseStructureVersion
from xqueue_bridge.data import SavedScore
from xqueue_bridge.learner_state import api as learner_state_api
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.queries import read_course_scores
from xqueue_bridge.retirement import retire_learner
from xqueue_bridge.signals import course_published
from xqueue_bridge.tasks import recalculate_grades, sweep

LATER = datetime(2026, 2, 1, tzinfo=UTC)


def sums(user) -> dict[str, tuple[float, float]]:
    rows = PersistentSubsectionGrade.objects.filter(user_id=user.pk)
    return {row.usage_key.block_id: (row.earned_graded, row.possible_graded) for row in rows}


class TestInline:
    """Compute without a worker, right after the commit."""

    def test_score_below_the_cutoff_stores_a_failing_grade(self, committed_ada):
        score(committed_ada, P1, 2)
        assert percent(committed_ada) == 0.5
        assert sums(committed_ada) == {"homework": (2, 4)}
        row = stored(committed_ada)
        assert (row.letter_grade, row.passed, row.passed_timestamp) == ("", False, None)
        assert (row.course_version, row.course_edited_timestamp) == (
            COURSE.version,
            COURSE.edited_on,
        )
        assert row.grading_policy_hash == COURSE.policy.hash
        request = request_of(committed_ada)
        assert (request.wanted, request.done, request.next_attempt_at) == (1, 1, None)
        assert (request.changes, request.last_error) == ("", "")

    def test_score_above_the_cutoff_stores_a_passing_grade(self, committed_ada, settings):
        settings.XQUEUE_BRIDGE = {"RECALCULATE_GRADE_DELAY_SECONDS": 0}
        score(committed_ada, P1)
        score(committed_ada, P2)
        row = stored(committed_ada)
        assert (row.percent_grade, row.letter_grade, row.passed) == (1.0, "Pass", True)
        assert row.passed_timestamp == row.modified

    def test_twenty_scores_within_the_delay_take_two_recalculations(self, committed_ada):
        """SG73: leave the scores within the delay to the sweeper, which reads all of them."""
        with received_grade_signals() as received:
            with time_machine.travel(timezone.now(), tick=False):
                for number in range(20):
                    score(committed_ada, P1, number, 20)
            assert len(received["changed"]) == 1
            assert sweep_later() == 1
            assert len(received["changed"]) == 2
        assert request_of(committed_ada).done == 20
        assert sums(committed_ada) == {"homework": (19, 22)}

    def test_score_without_course_structures_requests_nothing(self, committed_ada, settings):
        settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}
        score(committed_ada)
        assert not GradeRecalculation.objects.exists()

    def test_score_in_an_unknown_course_is_computed_after_publish(self, transactional_db):
        ada = make_learner()
        score(ada)
        request = request_of(ada)
        assert (request.done, request.next_attempt_at, request.attempts) == (1, None, 0)
        assert request.last_error == "no structure of the course is known"
        publish()
        assert sweep_later() == 1
        assert percent(ada) == 0.5


class TestByWorkers:
    def test_twenty_scores_within_the_delay_take_one_task_and_recalculation(
        self, committed_ada, by_workers
    ):
        """SG73: send one task, whose recalculation reads all twenty scores."""
        twenty = [block(f"b{n}", 1) for n in range(20)]
        publish(courses.course(subsection("homework", *twenty)))
        for each in twenty:
            score(committed_ada, each.usage_key, 1, 1)
        assert by_workers == [(committed_ada.pk, str(COURSE_KEY), 2.0)]
        with received_grade_signals() as received:
            recalculate_grades([(committed_ada.pk, str(COURSE_KEY))])
            recalculate_grades([(committed_ada.pk, str(COURSE_KEY))])
        assert len(received["changed"]) == 1
        assert percent(committed_ada) == 1.0
        assert request_of(committed_ada).done == 20

    def test_sweeper_computes_the_grade_if_no_task_was_sent(self, committed_ada, by_workers):
        """SG44: store the request with the score, so that the sweeper finds it."""
        with time_machine.travel(timezone.now(), tick=False):
            score(committed_ada)
            by_workers.clear()  # no worker was called
            assert sweep()["grades computed"] == 0, "not yet due"
        assert sweep_later() == 1
        assert percent(committed_ada) == 0.5
        assert sweep_later() == 0

    def test_score_is_stored_and_swept_if_the_broker_is_down(
        self, committed_ada, settings, monkeypatch, caplog
    ):
        """SG44: store the score, log the error, and compute the grade in the sweep."""

        def down(*args, **options):
            raise OperationalError("broker is down")

        settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
        monkeypatch.setattr(recalculate_grades, "apply_async", down)
        score(committed_ada)
        assert "left to the sweeper" in caplog.text
        assert sweep_later() == 1
        assert percent(committed_ada) == 0.5

    def test_rolled_back_score_leaves_no_task_signal_or_request(self, committed_ada, by_workers):
        """SG72: send neither a task nor a signal, and store no request."""
        with received_grade_signals() as received, transaction.atomic():
            score(committed_ada)
            api.CourseGradeFactory().update(committed_ada, course_key=COURSE_KEY)
            transaction.set_rollback(True)
        assert by_workers == []
        assert not any(received.values())
        assert not GradeRecalculation.objects.exists()
        assert not PersistentCourseGrade.objects.exists()

    def test_inline_worker_and_sweeper_compute_the_same_grade(
        self, committed_course, settings, by_workers
    ):
        """SG44, SG73: compute the same grade inline, in a worker and in a sweep."""
        workers, sweepers, inline = (make_learner(name) for name in ("w", "s", "i"))
        for learner in (workers, sweepers):
            score(learner, P1, 1)
            score(learner, P2, 2)
        recalculate_grades([(workers.pk, str(COURSE_KEY))])
        sweep_later()
        settings.XQUEUE_BRIDGE = {"RECALCULATE_GRADE_DELAY_SECONDS": 0}
        score(inline, P1, 1)
        score(inline, P2, 2)
        assert percent(workers) == percent(sweepers) == percent(inline) == 0.75
        assert sums(workers) == sums(sweepers) == sums(inline)

    def test_score_during_a_recalculation_stays_due(self, committed_ada, by_workers, monkeypatch):
        """SG70: keep a request due that was made after the recalculation had read the scores."""
        score(committed_ada, P1)
        finish = recalculation_queue.finish

        def and_then(row, *args):
            finish(row, *args)
            monkeypatch.undo()
            recalculation_queue.request_recalculation(committed_ada.pk, COURSE_KEY, usage_key=P2)

        monkeypatch.setattr(recalculation_queue, "finish", and_then)
        recalculate_pending(committed_ada)
        request = request_of(committed_ada)
        assert (request.wanted, request.done) == (2, 1)
        assert request.next_attempt_at is not None
        recalculate_pending(committed_ada)
        assert request_of(committed_ada).done == 2


class TestVisibility:
    """Scores that the recalculation cannot read yet, as in another database."""

    def request(self, user, version: int) -> None:
        api.request_recalculation(user.pk, COURSE_KEY, usage_key=P1, version=version)

    def test_recalculation_is_retried_until_the_requested_version_is_read(self, ada):
        """SG74: compare the version of the score, not a time."""
        score(ada, P1, 1)
        recalculate_pending(ada)
        self.request(ada, 2)
        before = timezone.now()
        assert recalculate_pending(ada) is True
        request = request_of(ada)
        assert (request.wanted, request.done, request.attempts) == (2, 1, 1)
        assert "Version 2" in request.last_error
        assert request.next_attempt_at > before
        score(ada, P1, 2)
        recalculate_pending(ada)
        request = request_of(ada)
        assert (request.wanted, request.done, request.last_error) == (3, 3, "")
        assert percent(ada) == 0.5

    def test_row_deleted_by_sql_does_not_delay_other_scores(self, ada):
        """Compute the scores that can be read, although one version never appears."""
        score(ada, P1, 2)
        score(ada, P2, 2)
        StudentModule.objects.filter(module_state_key=P1)._raw_delete("default")
        recalculate_pending(ada)
        assert percent(ada) == 0.5
        for _ in range(recalculation_queue.MAX_ATTEMPTS - 1):
            recalculate_pending(ada)
        assert request_of(ada) in recalculation_queue.failed_recalculations()
        score(ada, P2, 0)
        recalculate_pending(ada)
        assert percent(ada) == 0.0

    def test_version_that_never_appears_fails_and_can_be_retried(self, ada):
        """SG74: list the recalculation as failed after MAX_ATTEMPTS, and compute it in a retry."""
        self.request(ada, 1)
        for _ in range(recalculation_queue.MAX_ATTEMPTS):
            with time_machine.travel(request_of(ada).next_attempt_at, tick=False):
                assert api.recalculate_due() == 1
        request = request_of(ada)
        assert (request.next_attempt_at, request.done) == (None, 0)
        assert list(recalculation_queue.failed_recalculations()) == [request]
        assert sweep_later() == 0
        score(ada, P1, 1)
        request = request_of(ada)
        assert request.next_attempt_at is not None, "a new score revives it"
        assert (request.attempts, request.last_error) == (0, "")
        GradeRecalculation.objects.update(
            next_attempt_at=None, attempts=recalculation_queue.MAX_ATTEMPTS
        )
        assert api.retry_failed([request.pk + 1]) == 0
        assert api.retry_failed([request.pk]) == 1
        assert request_of(ada).attempts == 0
        assert sweep_later() == 1
        assert percent(ada) == 0.25
        assert not recalculation_queue.failed_recalculations().exists()

    def test_deleted_score_counts_zero(self, ada):
        score(ada, P1, 2)
        recalculate_pending(ada)
        learner_state.set_score(ada.pk, COURSE_KEY, P1, None, None)
        recalculate_pending(ada)
        assert percent(ada) == 0.0
        assert sums(ada) == {"homework": (0, 4)}

    def test_requests_of_one_block_are_merged_after_a_failed_attempt(self, ada):
        for version in range(1, 6):
            self.request(ada, version)
        recalculate_pending(ada)
        assert request_of(ada).changes == f"{P1}\t5\n"


def test_recalculation_within_the_delay_is_none(ada):
    """SG73: a caller that debounces is told that nothing was computed; the grade stays due."""
    score(ada, P1, 1)
    recalculate_pending(ada)
    score(ada, P1, 2)
    assert api.recalculate_requested(ada.pk, COURSE_KEY, debounce=True) is False
    assert request_of(ada).done < request_of(ada).wanted
    assert recalculate_pending(ada) is True


class TestFailures:
    def test_one_learner_does_not_stop_the_others(self, course, monkeypatch, caplog):
        bad, good = make_learner("bad"), make_learner("good")
        for learner in (bad, good):
            score(learner)
        read = read_course_scores

        def fail_for_bad(user_id, course_key):
            if user_id == bad.pk:
                raise RuntimeError("no")
            return read(user_id, course_key)

        monkeypatch.setattr(learner_state_api, "read_course_scores", fail_for_bad)
        assert sweep_later() == 2
        assert percent(good) == 0.5
        request = request_of(bad)
        assert (request.last_error, request.attempts) == ("RuntimeError", 1)
        assert "RuntimeError" in caplog.text

    def test_structure_that_cannot_be_read_is_an_error_of_each_learner(
        self, course, by_workers, monkeypatch
    ):
        """SG71: learners who are due together are all tried again later."""
        learners = [make_learner(name) for name in ("eve", "bob")]
        for each in learners:
            score(each, P1)

        def fail(self, course_key):
            raise OSError

        read = type("Structures", (), {"get": fail})
        monkeypatch.setattr(recalculation, "course_structures", read)
        assert sweep_later() == 2
        errors = [(request_of(each).attempts, request_of(each).last_error) for each in learners]
        assert errors == [(1, "OSError")] * 2

    def test_failure_after_max_attempts_is_counted_and_not_due(self, ada, monkeypatch):
        """Count each further attempt of an operator's command, without making it due."""
        score(ada)
        GradeRecalculation.objects.update(attempts=60, next_attempt_at=None)
        monkeypatch.setattr(learner_state_api, "read_course_scores", lambda *args: 1 / 0)
        recalculate_pending(ada)
        request = request_of(ada)
        assert (request.attempts, request.next_attempt_at) == (61, None)

    def test_delay_doubles_after_each_failed_attempt(self, ada, monkeypatch):
        score(ada)
        monkeypatch.setattr(learner_state_api, "read_course_scores", lambda *args: 1 / 0)
        pauses = []
        for _ in range(recalculation_queue.MAX_ATTEMPTS - 1):
            with time_machine.travel(timezone.now(), tick=False):
                recalculate_pending(ada)
                pauses.append((request_of(ada).next_attempt_at - timezone.now()).total_seconds())
        for attempt, pause in enumerate(pauses, 1):
            longest = min(2.0 * 2**attempt, recalculation_queue.LONGEST_DELAY)
            assert longest / 2 <= pause <= longest


class TestOtherRows:
    """Rows of other learners and courses, which no change of one row may touch."""

    OTHER = CourseKey.from_string("course-v1:DemoX+CS102+2026")

    @pytest.fixture
    def other_rows(self, ada):
        """Check that the rows of another learner and of another course are unchanged."""
        score(ada)
        bob = make_learner("bob")
        score(bob)
        api.request_recalculation(ada.pk, self.OTHER)
        GradeRecalculation.objects.update(attempts=2)
        rows = GradeRecalculation.objects.exclude(user_id=ada.pk, course_id=COURSE_KEY)
        before = list(rows.order_by("pk").values())
        assert len(before) == 2
        yield
        assert list(rows.order_by("pk").values()) == before

    def test_recalculation_changes_no_other_row(self, ada, other_rows):
        """SG70: finish only the row that was computed."""
        assert recalculate_pending(ada)
        assert not recalculate_pending(ada)

    def test_failed_attempt_changes_no_other_row(self, ada, other_rows, monkeypatch):
        """SG74: count the failed attempt for one learner in one course."""
        monkeypatch.setattr(learner_state_api, "read_course_scores", lambda *args: 1 / 0)
        assert recalculate_pending(ada)

    def test_retry_changes_only_the_failed_row(self, ada, other_rows):
        """SG74: retry only the failed recalculation."""
        mine = GradeRecalculation.objects.filter(user_id=ada.pk, course_id=COURSE_KEY)
        mine.update(next_attempt_at=None)
        everyone = GradeRecalculation.objects.values_list("pk", flat=True)
        assert api.retry_failed(everyone) == 1
        assert mine.get().next_attempt_at is not None

    def test_requests_of_another_course_are_not_listed(self, ada, other_rows):
        """SG76: list the learners and requests of one course, and of some learners."""
        api.request_recalculation(ada.pk, COURSE_KEY)
        assert recalculation_queue.unfinished(self.OTHER) == [ada.pk]
        for course_key, wanted in ((COURSE_KEY, 2), (self.OTHER, 1)):
            assert recalculation_queue.wanted_versions(course_key, [ada.pk]) == {ada.pk: wanted}

    def test_second_request_changes_no_other_row(self, ada, other_rows):
        assert not api.request_recalculation(ada.pk, COURSE_KEY)

    def test_full_recalculation_resets_attempts_and_is_due(self, ada, other_rows):
        """SG74: reset the attempts and make it due now, also after MAX_ATTEMPTS failures."""
        GradeRecalculation.objects.filter(user_id=ada.pk, course_id=COURSE_KEY).update(
            attempts=recalculation_queue.MAX_ATTEMPTS, next_attempt_at=None, last_error="no"
        )
        recalculation_queue.request_full_recalculations(COURSE_KEY, [ada.pk])
        row = GradeRecalculation.objects.get(user_id=ada.pk, course_id=COURSE_KEY)
        assert (row.attempts, row.last_error) == (0, "")
        assert row.next_attempt_at <= timezone.now()
        assert [key[:2] for key in recalculation_queue.due(10)] == [(ada.pk, COURSE_KEY)]


class TestComputation:
    def test_only_the_subsection_of_the_score_is_computed(self, ada):
        """SG64: use other subsections as they are stored, although the course has changed."""
        score(ada, P1, 2)
        score(ada, E1, 5, 5)
        recalculate_pending(ada)
        doubled = replace(HOMEWORK, blocks=tuple(replace(b, weight=9) for b in HOMEWORK.blocks))
        later = courses.course(doubled, EXERCISE, edited_on=datetime(2026, 2, 1, tzinfo=UTC))
        publish(later)
        GradeRecalculation.objects.update(next_attempt_at=None, wanted=1, done=1, changes="")
        score(ada, E1, 4, 5)
        recalculate_pending(ada)
        assert sums(ada)["homework"] == (2, 4)
        score(ada, P1, 1)
        recalculate_pending(ada)
        assert sums(ada)["homework"] == (4.5, 18)

    def test_block_in_two_subsections_updates_both(self, ada):
        """SG62: compute both subsections that contain the block."""
        shared = block("p1", 2)
        publish(courses.course(subsection("one", shared), subsection("two", shared, block("p2"))))
        score(ada, P1, 1)
        recalculate_pending(ada)
        assert sums(ada) == {"one": (1, 2), "two": (1, 3)}

    def test_changed_maximum_applies_to_learners_without_a_score_only(self, ada):
        """SG51: keep the maximum of a stored score; use the new one for learners without."""
        publish(courses.course(subsection("homework", block("p1", 5), block("p2", 4))))
        score(ada, P1, 5, 5)
        publish(
            courses.course(
                subsection("homework", block("p1", 4), block("p2", 4)),
                edited_on=datetime(2026, 2, 1, tzinfo=UTC),
            )
        )
        recalculate_pending(ada)
        bob = make_learner("bob")
        score(bob, P2, 0, 4)
        recalculate_pending(bob)
        assert sums(ada) == {"homework": (5, 9)}
        assert sums(bob) == {"homework": (0, 8)}

    def test_score_without_points_stores_no_subsection(self, ada):
        score(ada, P1, None, 2)
        recalculate_pending(ada)
        assert sums(ada) == {}
        assert percent(ada) == 0.0

    @pytest.mark.parametrize("points", [(1, 5e-324), (-3, 1), (1e308, 1)])
    def test_tiny_negative_or_huge_points_are_computed(self, ada, points):
        """SG46: compute a grade from any points that the host has stored."""
        learner_state.set_score(ada.pk, COURSE_KEY, P1, *points)
        recalculate_pending(ada)
        request = request_of(ada)
        assert (request.done, request.last_error) == (1, "")
        assert percent(ada) >= 0

    def test_time_of_the_first_attempt_is_kept(self, ada):
        score(ada, P1)
        recalculate_pending(ada)
        first = PersistentSubsectionGrade.objects.get().first_attempted
        assert first is not None
        score(ada, P2)
        recalculate_pending(ada)
        learner_state.set_score(ada.pk, COURSE_KEY, P1, None, None)
        recalculate_pending(ada)
        assert PersistentSubsectionGrade.objects.get().first_attempted == first

    def test_hidden_results_count_in_the_stored_grade(self, ada):
        """SG77: hide results in the learner's view, not in the stored grade."""
        hidden = replace(HOMEWORK, show_correctness="never")
        publish(courses.course(hidden, edited_on=datetime(2026, 2, 1, tzinfo=UTC)))
        score(ada, P1)
        score(ada, P2)
        recalculate_pending(ada)
        assert percent(ada) == 1.0

    def test_learners_share_one_row_of_visible_blocks(self, course):
        for name in ("a", "b", "c"):
            learner = make_learner(name)
            score(learner)
            recalculate_pending(learner)
        (shared,) = VisibleBlocks.objects.all()
        assert shared.course_id == COURSE_KEY
        assert str(P1) in shared.blocks_json


class TestStoredGrade:
    def test_unchanged_grade_keeps_modified_and_moves_computed_at(self, ada):
        """SG67: move only ``computed_at`` if the grade is unchanged."""
        score(ada)
        recalculate_pending(ada)
        before, subsection_before = stored(ada), PersistentSubsectionGrade.objects.get()
        with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
            api.CourseGradeFactory().update(
                ada, course_key=COURSE_KEY, force_update_subsections=True
            )
        after = stored(ada)
        assert (after.modified, after.version) == (before.modified, before.version)
        assert after.computed_at > before.computed_at
        subsection_after = PersistentSubsectionGrade.objects.get(pk=subsection_before.pk)
        assert subsection_after.modified == subsection_before.modified

    def test_clock_set_back_does_not_make_a_grade_older(self, ada):
        """SG67: a changed grade has no earlier time than the grade before it."""
        score(ada)
        recalculate_pending(ada)
        later = timezone.now() + timedelta(days=9)
        PersistentCourseGrade.objects.update(modified=later)
        score(ada, P2)
        recalculate_pending(ada)
        assert (percent(ada), stored(ada).modified) == (1.0, later)

    def test_fail_after_a_pass_keeps_the_time_of_the_first_pass(self, ada):
        """SG68: keep ``passed_timestamp``; change the letter and ``passed``."""
        score(ada, P1)
        score(ada, P2)
        recalculate_pending(ada)
        first = stored(ada).passed_timestamp
        assert first is not None
        score(ada, P1, 0)
        recalculate_pending(ada)
        row = stored(ada)
        assert (row.letter_grade, row.passed, row.passed_timestamp) == ("", False, first)
        score(ada, P1, 2)
        recalculate_pending(ada)
        assert stored(ada).passed_timestamp == first

    def test_policy_without_a_cutoff_above_zero_passes_no_learner(self, ada):
        """SG60: store and read ``passed`` as False."""
        for number, policy in enumerate((courses.policy(), courses.policy(Pass=0.0)), start=2):
            publish(
                courses.course(
                    HOMEWORK, grading=policy, edited_on=datetime(2026, number, 1, tzinfo=UTC)
                )
            )
            score(ada, P1, number, 20)
            recalculate_pending(ada)
            assert stored(ada).passed is False
            read = api.CourseGradeFactory().read(ada, course_key=COURSE_KEY)
            assert read.passed is False

    def test_weights_above_one_store_a_percent_above_one(self, ada):
        """SG58: store and read a percent above 1 unchanged."""
        generous = courses.policy({**courses.HOMEWORK, "weight": 1.5}, Pass=0.6)
        publish(
            courses.course(HOMEWORK, grading=generous, edited_on=datetime(2026, 2, 1, tzinfo=UTC))
        )
        score(ada, P1)
        score(ada, P2)
        recalculate_pending(ada)
        assert percent(ada) == 1.5
        assert api.CourseGradeFactory().read(ada, course_key=COURSE_KEY).percent == 1.5


class TestFrozen:
    def ended(self, days: int):
        return replace(
            COURSE,
            version="",
            end=timezone.now() - timedelta(days=days),
            edited_on=datetime(2026, 2, 1, tzinfo=UTC),
        )

    @pytest.mark.parametrize(
        ("days", "freeze", "moves"), [(31, 30, False), (29, 30, True), (400, None, True)]
    )
    def test_grade_is_frozen_after_grade_freeze_days_and_the_score_is_stored(
        self, ada, settings, days, freeze, moves
    ):
        """SG75: store scores, but no grade, GRADE_FREEZE_DAYS after the course's end."""
        settings.XQUEUE_BRIDGE = {"GRADE_FREEZE_DAYS": freeze}
        score(ada, P1, 1)
        recalculate_pending(ada)
        publish(courses.course(HOMEWORK, end=self.ended(days).end, edited_on=timezone.now()))
        score(ada, P1, 2)
        recalculate_pending(ada)
        assert percent(ada) == (0.5 if moves else 0.25)
        assert learner_state.read_score(ada.pk, P1, COURSE_KEY).earned == 2
        request = request_of(ada)
        assert (request.done, request.next_attempt_at) == (request.wanted, None)
        assert request.last_error == ("" if moves else "frozen")

    def test_course_with_the_largest_end_date_is_never_frozen(self, ada):
        """SG75: compute the grade of a course that ends on the largest date."""
        publish(courses.course(HOMEWORK, end=datetime.max.replace(tzinfo=UTC), edited_on=LATER))
        score(ada, P1, 2)
        recalculate_pending(ada)
        assert percent(ada) == 0.5


class TestConcurrentPublish:
    def test_structure_read_before_a_publish_is_replaced_by_the_new_one(self, ada, monkeypatch):
        """SG70: compute again if the structure was read before a publish."""
        score(ada, P1, 1)
        recalculate_pending(ada)
        published = publish(
            courses.course(
                subsection("homework", block("p1", 2)), edited_on=datetime(2026, 2, 1, tzinfo=UTC)
            )
        )
        api.CourseGradeFactory().update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        structures = iter([COURSE, published])
        read = type("Structures", (), {"get": lambda self, course_key: next(structures)})
        monkeypatch.setattr(recalculation, "course_structures", read)
        score(ada, P1, 2)
        recalculate_pending(ada)
        row = stored(ada)
        assert (row.percent_grade, row.course_version) == (1.0, published.version)

    @pytest.mark.parametrize("known", [True, False])
    def test_policy_published_during_a_recalculation_is_applied(
        self, transactional_db, by_workers, monkeypatch, known
    ):
        """Finish a publish's request only by a computation with its structure."""
        if known:
            publish()
        ada = make_learner()
        score(ada, P1, 1)
        lenient = courses.course(HOMEWORK, grading=courses.policy(Pass=0.2), edited_on=LATER)
        structures = recalculation.course_structures()

        def read_and_publish(self, course_key):
            before = structures.get(course_key)
            publish(lenient)
            return before

        read = type("Structures", (), {"get": read_and_publish})
        monkeypatch.setattr(recalculation, "course_structures", read)
        assert recalculate_pending(ada) is True
        assert stored(ada).passed
        assert request_of(ada).done == request_of(ada).wanted

    def test_repeated_publishes_leave_the_recalculation_to_the_sweeper(self, ada, monkeypatch):
        """Stop after some readings of the structure, and keep the recalculation due."""
        structures = recalculation.course_structures()

        def read_and_request(self, course_key):
            found = structures.get(course_key)
            recalculation_queue.request_full_recalculations(COURSE_KEY, [ada.pk])
            return found

        score(ada, P1, 1)
        read = type("Structures", (), {"get": read_and_request})
        monkeypatch.setattr(recalculation, "course_structures", read)
        assert recalculate_pending(ada) is True
        monkeypatch.undo()
        assert request_of(ada).done == 0
        assert sweep_later() == 1
        assert percent(ada) == 0.25

    def test_only_the_reading_after_a_stale_structure_may_be_an_older_publication(
        self, ada, monkeypatch
    ):
        """SG70: a later reading rejects a stale structure again, and knows the row's ``wanted``."""
        outcomes = iter([StaleCourseStructure(), 7, True])
        seen_and_reject_stale = []

        def process(user_id, course_key, debounce, seen, course, reject_stale):
            seen_and_reject_stale.append((seen, reject_stale))
            outcome = next(outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(recalculation, "_process", process)
        assert recalculate_pending(ada) is True
        assert seen_and_reject_stale == [(None, True), (None, False), (7, True)]

    @pytest.mark.parametrize("is_reset", [False, True])
    def test_update_reads_the_structure_again_if_a_later_one_was_used(
        self, ada, monkeypatch, is_reset
    ):
        """SG70: it was read before a publish, or the course was reset to it."""
        score(ada, P1, 1)
        published = publish(courses.course(HOMEWORK, edited_on=LATER))
        recalculate_pending(ada)
        second = COURSE if is_reset else published
        structures = iter([COURSE, second])
        read = type("Structures", (), {"get": lambda self, course_key: next(structures)})
        monkeypatch.setattr(recalculation, "course_structures", read)
        api.CourseGradeFactory().update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        assert list(structures) == []
        assert stored(ada).course_version == second.version

    def test_republished_older_version_is_used(self, ada):
        score(ada, P1, 1)
        recalculate_pending(ada)
        newer = publish(courses.course(HOMEWORK, edited_on=datetime(2026, 2, 1, tzinfo=UTC)))
        score(ada, P1, 2)
        recalculate_pending(ada)
        older = publish(
            courses.course(
                subsection("homework", block("p1", 2)), edited_on=datetime(2025, 1, 1, tzinfo=UTC)
            )
        )
        assert older.edited_on < newer.edited_on
        score(ada, P1, 1)
        recalculate_pending(ada)
        assert stored(ada).course_version == older.version

    def test_new_policy_recalculates_all_learners(self, committed_course):
        learners = [make_learner(name) for name in "abc"]
        for learner in learners:
            score(learner, P1, 1)
        lenient = courses.policy(Pass=0.2)
        publish(
            courses.course(HOMEWORK, grading=lenient, edited_on=datetime(2026, 2, 1, tzinfo=UTC))
        )
        assert sweep_later() == 3
        assert [stored(learner).passed for learner in learners] == [True] * 3

    def test_sweeper_requests_recalculations_if_the_publisher_is_killed(self, committed_course):
        ada = make_learner()
        score(ada, P1, 1)
        recalculate_pending(ada)
        assert not stored(ada).passed
        course_published.disconnect(dispatch_uid="xqueue_bridge.request_course_regrade")
        try:
            publish(courses.course(HOMEWORK, grading=courses.policy(Pass=0.2), edited_on=LATER))
        finally:
            course_published.connect(
                handlers.request_course_regrade, dispatch_uid="xqueue_bridge.request_course_regrade"
            )
        assert api.request_due_courses() == 1
        assert api.request_due_courses() == 0
        recalculate_pending(ada)
        assert stored(ada).passed

    def test_policy_published_during_another_ones_requests_stays_due(
        self, committed_course, monkeypatch
    ):
        """Keep the later publish due when the requests of the earlier one are done."""
        request, lenient = recalculation_queue.request_full_recalculations, courses.policy(Pass=0.2)
        score(make_learner(), P1, 1)

        def publish_and_note(*args):
            monkeypatch.setattr(recalculation_queue, "request_full_recalculations", request)
            row = CourseStructureVersion.objects.filter(is_current=True)
            row.update(regrade_due_at=timezone.now())
            request(*args)

        publish(courses.course(HOMEWORK, grading=lenient, edited_on=LATER))
        assert api.request_due_courses() == 0
        CourseStructureVersion.objects.filter(is_current=True).update(regrade_due_at=LATER)
        monkeypatch.setattr(recalculation_queue, "request_full_recalculations", publish_and_note)
        assert api.request_due_courses() == 1
        assert api.request_due_courses() == 1, "the one that was published meanwhile"


class TestStatements:
    """Statements including BEGIN and COMMIT; the structure is read before, by one statement."""

    @pytest.mark.parametrize("blocks", [10, 200])
    def test_recalculation_takes_the_same_number_for_10_and_200_blocks(
        self, transactional_db, by_workers, django_assert_num_queries, blocks
    ):
        """SG78: one statement more inserts the first grade."""
        names = [f"b{number}" for number in range(blocks)]
        publish(
            courses.course(
                *(subsection(f"s{n}", *map(block, names[n : n + 5])) for n in range(0, blocks, 5))
            )
        )
        ada = make_learner()
        for name in names:
            score(ada, courses.key("problem", name), 1, 1)
        # Structure, BEGIN, lock, scores, course grade, subsections, tombstone; lists of blocks,
        # subsections, course grade, request; COMMIT.
        with django_assert_num_queries(11 + LOCK):
            recalculate_pending(ada)
        assert PersistentSubsectionGrade.objects.count() == blocks // 5
        score(ada, courses.key("problem", "b0"), 0, 1)
        with django_assert_num_queries(9 + LOCK):
            recalculation.recalculate_learners([(ada.pk, str(COURSE_KEY))])
        recalculation_queue.request_full_recalculations(COURSE_KEY, [ada.pk])
        # The course is read once more, because it may have been published: structure, lock.
        with django_assert_num_queries(8 + LOCK + 3 + LOCK):
            recalculate_pending(ada)
        recalculation_queue.request_full_recalculations(COURSE_KEY, [ada.pk])
        # What is due, first: the course is read after it.
        with django_assert_num_queries(1 + 8 + LOCK):
            assert api.recalculate_due() == 1
        with django_assert_num_queries(3 + LOCK):
            recalculate_pending(ada)

    def test_recalculation_without_a_course_structure_takes_two(
        self, transactional_db, by_workers, django_assert_num_queries
    ):
        """Structure, request."""
        ada = make_learner()
        score(ada)
        with django_assert_num_queries(2):
            assert recalculate_pending(ada) is True
        assert request_of(ada).done == request_of(ada).wanted
        recalculation_queue.request_full_recalculations(COURSE_KEY, [ada.pk])
        assert recalculate_pending(ada) is True
        assert request_of(ada).done == request_of(ada).wanted == 2
        assert request_of(ada).last_error == recalculation_queue.NO_STRUCTURE

    def test_recalculation_locks_before_it_reads(
        self, committed_ada, by_workers, assert_locks_first
    ):
        """SG70: also on a SQLite whose transactions begin without a lock."""
        score(committed_ada)
        assert_locks_first(lambda: recalculate_pending(committed_ada))
        assert percent(committed_ada) == 0.5

    def test_learners_of_a_course_without_a_structure_take_two_together(
        self, transactional_db, by_workers, django_assert_num_queries
    ):
        """Structure, requests."""
        learners = [make_learner(name) for name in ("ada", "bob")]
        for each in learners:
            score(each)
        with django_assert_num_queries(2):
            recalculation.recalculate_learners([(each.pk, str(COURSE_KEY)) for each in learners])
        assert all(request_of(each).done == request_of(each).wanted for each in learners)

    def test_request_takes_one_statement(
        self, committed_ada, by_workers, django_assert_num_queries
    ):
        """Take one statement for a first, a repeated and a finished request."""

        def request():
            with transaction.atomic():
                return recalculation_queue.request_recalculation(committed_ada.pk, COURSE_KEY)

        with django_assert_num_queries(1 + 2):
            assert request() is True
        with django_assert_num_queries(1 + 2):
            assert request() is False
        recalculate_pending(committed_ada)
        with django_assert_num_queries(1 + 2):
            assert request() is True

    def test_requests_for_50_learners_take_one_statement(
        self, committed_course, django_assert_num_queries, monkeypatch
    ):
        """Merge two requests of one learner before the statement."""
        learners = [make_learner(f"l{n}").pk for n in range(50)]
        started: list[tuple[int, str]] = []
        monkeypatch.setattr(recalculation_queue, "enqueue", lambda _name, key: started.append(key))
        score_of = partial(SavedScore, course_key=COURSE_KEY, version=1)
        scores = [score_of(user_id, usage_key=each) for user_id in learners for each in (P1, P2)]
        with django_assert_num_queries(1 + 2), transaction.atomic():
            api.request_grades(scores=scores)
        assert sorted(started) == [(user_id, str(COURSE_KEY)) for user_id in learners]
        with django_assert_num_queries(1 + 2), transaction.atomic():
            api.request_grades(scores=scores[::-1])
        assert len(started) == len(learners)
        rows = GradeRecalculation.objects.all()
        assert set(rows.values_list("wanted", "done", "attempts")) == {(4, 0, 0)}
        (changes,) = set(rows.values_list("changes", flat=True))
        assert changes.splitlines() == [f"{key}\t1" for key in (P1, P2, P2, P1)]

    def test_requests_for_a_whole_course_take_six_statements(
        self, committed_course, django_assert_num_queries
    ):
        learners = [make_learner(f"l{n}") for n in range(30)]
        for learner in learners:
            score(learner)
        # Whether a publish requests it; two lists of learners; the requests, in a transaction.
        with django_assert_num_queries(1 + 2 + 3):
            assert api.request_course(COURSE_KEY) == 30


class TestDeletedRows:
    """Rows of StudentModule that are deleted by the ORM."""

    def rows(self, user, usage_key=P1):
        return StudentModule.objects.filter(student=user, module_state_key=usage_key)

    def test_deletion_before_a_pending_recalculation_removes_the_score(
        self, committed_ada, by_workers
    ):
        """Finish the recalculation without waiting for the deleted score."""
        score(committed_ada, P1)
        score(committed_ada, P2)
        self.rows(committed_ada).delete()
        recalculate_pending(committed_ada)
        assert percent(committed_ada) == 0.5
        assert (request_of(committed_ada).done, request_of(committed_ada).last_error) == (3, "")

    def test_deletion_without_pending_recalculation_requests_one(self, committed_ada, by_workers):
        score(committed_ada, P1)
        recalculate_pending(committed_ada)
        self.rows(committed_ada).get().delete()
        assert sweep_later() == 1
        assert percent(committed_ada) == 0.0

    def test_stored_grade_remains_after_the_user_is_deleted(self, committed_ada, by_workers):
        """Keep the stored grade after the account is deleted."""
        score(committed_ada, P1)
        recalculate_pending(committed_ada)
        user_id = committed_ada.pk
        committed_ada.delete()
        assert sweep_later() == 0
        assert PersistentCourseGrade.objects.get(user_id=user_id).percent_grade == 0.5

    def test_deletion_of_a_row_without_score_requests_nothing(self, committed_ada, by_workers):
        learner_state.save_fields(committed_ada.pk, COURSE_KEY, P1, {"attempts": 1})
        self.rows(committed_ada).delete()
        assert not GradeRecalculation.objects.exists()


def test_full_recalculation_of_a_purged_learner_stores_no_grade(committed_ada, by_workers):
    """Store no grade after a purge, although a request was made."""
    score(committed_ada, P1)
    recalculate_pending(committed_ada)
    retire_learner(committed_ada.pk, "purge")
    recalculation_queue.request_full_recalculations(COURSE_KEY, [committed_ada.pk])
    assert recalculate_pending(committed_ada) is True
    assert not GradeRecalculation.objects.exists()
    api.CourseGradeFactory().update(committed_ada, course_key=COURSE_KEY)
    assert not PersistentCourseGrade.objects.exists()
    assert not PersistentSubsectionGrade.objects.exists()
    assert not GradeRecalculation.objects.exists()


def test_score_without_points_counts_alike_in_partial_and_full_computation(
    committed_ada, by_workers
):
    """Count its maximum alike, although it is not the block's."""
    publish(courses.course(subsection("one", block("p1", 2)), subsection("two", block("p2", None))))
    found = []
    for change in (
        lambda: score(committed_ada, P1, 2),
        lambda: score(committed_ada, P2, None, 5),
        lambda: score(committed_ada, P1, 1),
        lambda: score(committed_ada, P1, 2),
    ):
        change()
        recalculate_pending(committed_ada)
        partial_one = percent(committed_ada)
        factory = api.CourseGradeFactory()
        factory.update(committed_ada, course_key=COURSE_KEY, force_update_subsections=True)
        assert percent(committed_ada) == partial_one
        found.append(partial_one)
    assert found == [1.0, 0.5, 0.25, 0.5]
