"""Grades that are computed, and overrides that are set, in a transaction of the caller."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY
from tests.course_grades.factories import (
    COURSE,
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
)
from tests.course_grades.test_stored_values import OTHER_COURSE
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


def pending(user_id: int, course_key: CourseKey, **fields: object) -> None:
    """Store an entry as a process that is killed after the commit leaves it."""
    now = timezone.now()
    given = {"usage_key": HOMEWORK.usage_key, "action": "removed", "created": now, **fields}
    PersistentSubsectionGradeOverrideHistory.objects.create(
        user_id=user_id, course_id=course_key, pending_since=now, **given
    )


def still_pending():
    entries = PersistentSubsectionGradeOverrideHistory.objects.exclude(pending_since=None)
    return entries.order_by("pk")


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

    def test_update_after_a_reset_to_an_earlier_publication_uses_it(self, ada):
        """SG70: in the grade that is returned, and in the one that is stored."""
        score(ada, P1)
        for year, expected in ((2027, 0.5), (2025, 1.0)):
            blocks = HOMEWORK.blocks[: 2 if expected == 0.5 else 1]
            edited_on = datetime(year, 1, 1, tzinfo=UTC)
            publish(courses.course(replace(HOMEWORK, blocks=blocks), edited_on=edited_on))
            with transaction.atomic():
                assert update(ada).percent == expected
            assert percent(ada) == expected

    def test_error_after_the_commit_leaves_a_due_recalculation(self, ada, monkeypatch, caplog):
        """Leave the grade to the sweeper if computing it after the commit fails, and log it."""
        score(ada, P1)
        recalculate_pending(ada)
        with transaction.atomic():
            update(ada)
            monkeypatch.setattr(
                "xqueue_bridge.course_grades.course_grade_factory.recalculate",
                lambda *args, **options: 1 / 0,
            )
        assert request_of(ada).next_attempt_at <= timezone.now()
        assert "ZeroDivisionError" in caplog.text


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

    def test_override_before_the_first_grade_returns_the_grade_of_all_scores(self, ada):
        """SG76: return the grade that is stored after the commit."""
        score(ada, P1)
        with transaction.atomic():
            grade = api.set_override(ada.pk, COURSE_KEY, EXERCISE.usage_key, FULL)
            assert grade.percent == 0.5
        assert percent(ada) == 0.5

    def test_override_of_a_subsection_without_a_grade_returns_what_is_stored(self, ada):
        """SG76: leave a score that is not computed yet to its recalculation."""
        score(ada, P1)
        recalculate_pending(ada)
        score(ada, P2)
        with transaction.atomic():
            grade = api.set_override(ada.pk, COURSE_KEY, EXERCISE.usage_key, FULL)
        assert grade.percent == percent(ada) == 0.5

    def test_override_returns_a_grade_during_a_publish(self, ada, monkeypatch):
        """SG75: compute with the structure that was read, although a later one was used."""
        score(ada, P1)
        published = publish(courses.course(HOMEWORK, edited_on=datetime(2026, 2, 1, tzinfo=UTC)))
        recalculate_pending(ada)
        read = type("Structures", (), {"get": lambda self, course_key: COURSE})
        monkeypatch.setattr(overrides, "course_structures", read)
        with transaction.atomic():
            assert override(ada).percent == 1.0
        assert (percent(ada), stored(ada).course_version) == (1.0, published.version)

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

    def test_pending_overrides_of_another_learner_or_course_stay_pending(self, ada):
        """SG76: a new override applies those of its own learner and course."""
        score(ada, P1)
        others = [(ada.pk, OTHER_COURSE), (make_learner("bob").pk, COURSE_KEY)]
        for user_id, course_key in others:
            pending(user_id, course_key)
        override(ada)
        assert PersistentSubsectionGradeOverride.objects.get().grade.user_id == ada.pk
        assert list(still_pending().values_list("user_id", "course_id")) == others

    def test_error_of_one_pending_override_is_logged_and_not_raised(self, ada, monkeypatch, caplog):
        monkeypatch.setattr(overrides, "_apply_pending", lambda *args: None)
        with transaction.atomic():
            override(ada)
        monkeypatch.setattr(overrides, "_apply_pending", lambda *args: 1 / 0)
        with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=False):
            assert api.apply_pending_overrides() == 1
        assert "ZeroDivisionError" in caplog.text

    def test_override_that_cannot_be_applied_does_not_delay_another_one(self, ada):
        """SG44: try it again a minute later, after those that have waited longer."""
        pending(ada.pk, OTHER_COURSE)
        pending(ada.pk, COURSE_KEY)
        for minutes in (2, 4):
            with time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=False):
                assert api.apply_pending_overrides(limit=1) == 1
                assert api.apply_pending_overrides(limit=1) == (minutes == 2)
        assert percent(ada) == 0.0
        assert [entry.course_id for entry in still_pending()] == [OTHER_COURSE]

    def test_pending_override_of_a_removed_subsection_is_finished(self, ada):
        """SG76: keep the history entry, and set no override."""
        pending(ada.pk, COURSE_KEY, usage_key=courses.key("sequential", "removed"), action="set")
        override(ada)
        assert not still_pending().exists()
        row = PersistentSubsectionGradeOverride.objects.get()
        assert row.grade.usage_key == HOMEWORK.usage_key
