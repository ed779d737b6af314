"""Grades that are computed, and overrides that are set, in a transaction of the caller."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from tests.course_grades.courses import COURSE_KEY
from tests.course_grades.factories import (
    HOMEWORK,
    P1,
    P2,
    percent,
    recalculate_pending,
    received_grade_signals,
    request_of,
    score,
)
from xqueue_bridge.course_grades import api, overrides
from xqueue_bridge.course_grades.models import (
    PersistentCourseGrade,
    PersistentSubsectionGradeOverride,
    PersistentSubsectionGradeOverrideHistory,
)
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.tasks import sweep

FULL = api.SubsectionOverride(earned_graded=4, reason="ill", author_id=99)


@pytest.fixture
def ada(committed_ada, by_workers):
    return committed_ada


def update(user):
    factory = api.CourseGradeFactory()
    return factory.update(user, course_key=COURSE_KEY, force_update_subsections=True)


def override(user):
    return api.set_override(user.pk, COURSE_KEY, HOMEWORK.usage_key, FULL)


def score_elsewhere(user) -> bool:
    """Store a score on another connection; not on SQLite, where a transaction locks all writers."""
    if not connection.features.has_select_for_update:
        return False

    def work() -> None:
        try:
            score(user, P2)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "the score waits for the caller's transaction"
    return True


class TestUpdate:
    def test_grade_is_returned_at_once_and_stored_after_the_commit(self, ada):
        """Write the row and send the signals only after the caller's commit."""
        score(ada, P1)
        with received_grade_signals() as received:
            with transaction.atomic():
                assert update(ada).percent == 0.5
                assert not PersistentCourseGrade.objects.exists()
            assert percent(ada) == 0.5
        assert len(received["changed"]) == 1

    def test_rollback_stores_no_grade_and_sends_no_signal(self, ada):
        with received_grade_signals() as received, transaction.atomic():
            update(ada)
            transaction.set_rollback(True)
        assert not PersistentCourseGrade.objects.exists()
        assert not any(received.values())

    def test_open_transaction_does_not_lock_the_learners_scores(self, ada):
        """Store a score on another connection while the caller's transaction is open."""
        score(ada, P1)
        recalculate_pending(ada)
        with transaction.atomic():
            update(ada)
            is_stored = score_elsewhere(ada)
        assert percent(ada) == (1.0 if is_stored else 0.5)

    def test_stored_grade_has_scores_after_the_callers_snapshot(self, ada):
        """At REPEATABLE READ the caller sees the former score; the stored grade has the new one."""
        score(ada, P1)
        recalculate_pending(ada)
        with transaction.atomic():
            assert StudentModule.objects.count() == 1
            is_stored = score_elsewhere(ada)
            update(ada)
        assert percent(ada) == (1.0 if is_stored else 0.5)

    def test_error_after_the_commit_leaves_a_due_recalculation(self, ada, monkeypatch):
        """Leave the grade to the sweeper if computing it after the commit fails."""
        score(ada, P1)
        recalculate_pending(ada)
        with transaction.atomic():
            update(ada)
            monkeypatch.setattr(
                "xqueue_bridge.course_grades.course_grade_factory.recalculate",
                lambda *args, **options: 1 / 0,
            )
        assert request_of(ada).next_attempt_at <= timezone.now()


class TestOverrides:
    def test_override_is_stored_and_counts_after_the_commit(self, ada):
        """SG76: return the grade and write a history entry at once, the override after commit."""
        score(ada, P1)
        recalculate_pending(ada)
        with transaction.atomic():
            assert override(ada).percent == 1.0
            assert [each.action for each in api.override_history(ada.pk, COURSE_KEY)] == ["set"]
            assert not PersistentSubsectionGradeOverride.objects.exists()
        assert percent(ada) == 1.0
        with transaction.atomic():
            removed = api.remove_override(
                ada.pk, COURSE_KEY, HOMEWORK.usage_key, author_id=1, reason="x"
            )
            assert removed.percent == 0.5
        assert percent(ada) == 0.5
        entries = PersistentSubsectionGradeOverrideHistory.objects.all()
        assert set(entries.values_list("pending_since", flat=True)) == {None}

    def test_rollback_stores_no_override_and_no_grade(self, ada):
        with transaction.atomic():
            override(ada)
            transaction.set_rollback(True)
        assert not PersistentSubsectionGradeOverrideHistory.objects.exists()
        assert not PersistentCourseGrade.objects.exists()

    def test_sweep_applies_override_of_a_process_killed_after_the_commit(self, ada, monkeypatch):
        """SG44: apply the pending override in a sweep more than a minute later, once."""
        monkeypatch.setattr(overrides, "_apply_pending", lambda *args: None)
        with transaction.atomic():
            override(ada)
        monkeypatch.undo()
        assert sweep()["pending overrides applied"] == 0
        with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=False):
            assert sweep()["pending overrides applied"] == 1
            assert sweep()["pending overrides applied"] == 0
        assert percent(ada) == 1.0

    def test_later_override_applies_the_pending_one_first(self, ada, monkeypatch):
        """Apply overrides in the order of their history entries, so that the last one counts."""
        apply = overrides._apply_pending
        monkeypatch.setattr(overrides, "_apply_pending", lambda *args: None)
        with transaction.atomic():
            override(ada)
        monkeypatch.setattr(overrides, "_apply_pending", apply)
        less = api.SubsectionOverride(earned_graded=2, reason="recount", author_id=99)
        assert api.set_override(ada.pk, COURSE_KEY, HOMEWORK.usage_key, less).percent == 0.5
        assert percent(ada) == 0.5
        assert api.apply_pending_overrides() == 0

    def test_error_of_one_pending_override_is_logged_and_not_raised(self, ada, monkeypatch, caplog):
        monkeypatch.setattr(overrides, "_apply_pending", lambda *args: None)
        with transaction.atomic():
            override(ada)
        monkeypatch.setattr(overrides, "_apply_pending", lambda *args: 1 / 0)
        with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=False):
            assert api.apply_pending_overrides() == 1
        assert "ZeroDivisionError" in caplog.text
