"""Signals of scores and grades, sent after the commit; errors of receivers."""

from __future__ import annotations

import pytest
from django.db import transaction
from opaque_keys.edx.keys import CourseKey
from opaque_keys.edx.locator import LibraryLocatorV2, LibraryUsageLocatorV2

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY, block, subsection
from tests.course_grades.factories import (
    COURSE,
    HOMEWORK,
    P1,
    P2,
    make_learner,
    publish,
    recalculate_pending,
    received_grade_signals,
    score,
    stored,
)
from tests.grader_replies.factories import received_signals
from xqueue_bridge import signals
from xqueue_bridge.course_grades import api
from xqueue_bridge.learner_state import student_module as learner_state
from xqueue_bridge.options import Options

factory = api.CourseGradeFactory()
DEFAULT_BACKEND = Options().COURSE_STRUCTURE_BACKEND
LIBRARY_KEY = LibraryLocatorV2.from_string("lib:DemoX:loops")
LIBRARY_BLOCK = LibraryUsageLocatorV2(LIBRARY_KEY, "problem", "p1")


@pytest.fixture
def ada(committed_ada, by_workers):
    return committed_ada


def passing(user) -> None:
    score(user, P1)
    score(user, P2)


class TestCourseGrades:
    def test_fail_sends_changed_and_failed(self, ada):
        """SG71: send CHANGED and FAILED with the documented arguments."""
        score(ada)
        with received_grade_signals() as received:
            recalculate_pending(ada)
        (changed,) = received["changed"]
        assert changed["user"] == ada
        assert (changed["course_key"], changed["deadline"]) == (COURSE_KEY, COURSE.end)
        assert changed["course_grade"].percent == 0.5
        assert changed["course_grade"].last_updated == stored(ada).modified
        assert (changed["user_id"], changed["changed"]) == (ada.pk, True)
        assert (changed["previous_passed"], changed["transition"]) == (None, None)
        (failed,) = received["failed"]
        assert (failed["user"], failed["course_id"]) == (ada, COURSE_KEY)
        assert failed["grade"] == changed["course_grade"]
        assert received["passed"] == received["first"] == []
        (part,) = received["subsection"]
        assert part["course"] == part["course_structure"] == COURSE
        assert part["user"] == ada
        assert part["subsection_grade"].usage_key == HOMEWORK.usage_key

    def test_pass_sends_changed_and_passed(self, ada):
        """SG71: send CHANGED and PASSED with the documented arguments."""
        passing(ada)
        with received_grade_signals() as received:
            recalculate_pending(ada)
        (passed,) = received["passed"]
        assert (passed["user"], passed["course_id"]) == (ada, COURSE_KEY)
        assert (passed["previous_passed"], passed["transition"]) == (None, "passed")
        assert received["failed"] == []
        assert received["first"] == [{"course_id": COURSE_KEY, "user_id": ada.pk}]

    def test_senders_are_those_of_upstream(self, ada):
        """SG71: send CHANGED from None and FAILED from ``CourseGradeFactory``."""
        senders = []

        def listen(sender, **received):
            senders.append(sender)

        for signal in (signals.COURSE_GRADE_CHANGED, signals.COURSE_GRADE_NOW_FAILED):
            signal.connect(listen)
        try:
            factory.update(ada, course_key=COURSE_KEY)
        finally:
            for signal in (signals.COURSE_GRADE_CHANGED, signals.COURSE_GRADE_NOW_FAILED):
                signal.disconnect(listen)
        assert senders == [None, api.CourseGradeFactory]

    def test_transitions_are_sent_and_first_pass_only_once(self, ada):
        """SG68: send each pass and fail as a transition, and the first pass once."""
        values = []
        for points in (2, 2, 0, 0, 2):
            score(ada, P1, points)
            score(ada, P2)
            with received_grade_signals() as received:
                factory.update(ada, course_key=COURSE_KEY, force_update_subsections=True)
            (changed,) = received["changed"]
            values.append((changed["transition"], changed["changed"], len(received["first"])))
        assert values == [
            ("passed", True, 1),
            (None, False, 0),
            ("failed", True, 0),
            (None, False, 0),
            ("passed", True, 0),
        ]

    @pytest.mark.parametrize(("setting", "expected"), [("every", 3), ("transitions", 1)])
    def test_grade_signals_setting_sends_each_pass_or_transitions_only(
        self, ada, settings, setting, expected
    ):
        settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery", "GRADE_SIGNALS": setting}
        passing(ada)
        with received_grade_signals() as received:
            for _ in range(3):
                factory.update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        assert len(received["passed"]) == expected
        assert len(received["changed"]) == 3

    def test_first_fail_is_no_transition(self, ada, settings):
        settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery", "GRADE_SIGNALS": "transitions"}
        with received_grade_signals() as received:
            factory.update(ada, course_key=COURSE_KEY)
        assert received["failed"] == []

    @pytest.mark.parametrize(
        "signal",
        [
            signals.SUBSECTION_SCORE_CHANGED,
            signals.COURSE_GRADE_PASSED_FIRST_TIME,
            signals.COURSE_GRADE_CHANGED,
            signals.COURSE_GRADE_NOW_PASSED,
        ],
    )
    def test_receiver_that_raises_stops_neither_other_receivers_nor_grade(self, ada, signal):
        """SG71: call the other receivers and store the grade, although one receiver raises."""

        def fail(**received):
            raise RuntimeError

        signal.connect(fail)
        passing(ada)
        try:
            with received_grade_signals() as received:
                recalculate_pending(ada)
        finally:
            signal.disconnect(fail)
        assert all(received[name] for name in ("subsection", "first", "changed", "passed"))
        assert stored(ada).passed

    def test_receivers_run_after_the_commit_and_read_the_stored_grade(self, ada):
        """SG71, SG72: send the signal outside of a transaction, when the grade can be read."""
        seen = []

        def look(user_id, **received):
            seen.append((transaction.get_connection().in_atomic_block, stored(ada).percent_grade))

        signals.COURSE_GRADE_CHANGED.connect(look)
        try:
            score(ada)
            recalculate_pending(ada)
        finally:
            signals.COURSE_GRADE_CHANGED.disconnect(look)
        assert seen == [(False, 0.5)]


class TestScores:
    def test_score_sends_raw_and_weighted_signals(self, transactional_db, by_workers):
        """SG50: send both of upstream's signals, with the block's weight as published."""
        publish(courses.course(subsection("homework", block("p1", 4, weight=12))))
        ada = make_learner()
        with (
            received_signals(signals.PROBLEM_RAW_SCORE_CHANGED) as raw,
            received_signals(signals.PROBLEM_WEIGHTED_SCORE_CHANGED) as weighted,
        ):
            score(ada, P1, 3, 4)
        both = {
            "user_id": ada.pk,
            "course_id": str(COURSE_KEY),
            "usage_id": str(P1),
            "only_if_higher": False,
            "score_db_table": "courseware_studentmodule",
            "score_deleted": False,
            "grader_response": False,
            "version": 1,
        }
        (values,) = raw
        assert values.pop("modified") is not None
        assert values == {**both, "raw_earned": 3, "raw_possible": 4, "weight": 12}
        (values,) = weighted
        del values["modified"]
        assert values == {**both, "weighted_earned": 9, "weighted_possible": 12}

    @pytest.mark.parametrize(
        ("course_key", "backend"),
        [
            (CourseKey.from_string("course-v1:DemoX+OTHER+2026"), DEFAULT_BACKEND),
            (COURSE_KEY, None),
            (LIBRARY_KEY, DEFAULT_BACKEND),
        ],
    )
    def test_score_outside_of_a_published_course_has_no_weight(
        self, ada, settings, course_key, backend
    ):
        """SG50: also in a library, and on a site without course structures."""
        settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": backend, "TASK_RUNNER": "celery"}
        is_library = course_key == LIBRARY_KEY
        usage_key = LIBRARY_BLOCK if is_library else course_key.make_usage_key("problem", "p1")
        with received_signals(signals.PROBLEM_RAW_SCORE_CHANGED) as raw:
            learner_state.set_score(ada.pk, course_key, usage_key, 1, 2)
        assert [(values["weight"], values["raw_possible"]) for values in raw] == [(None, 2)]

    def test_deleted_score_sends_score_deleted_with_zero_points(self, ada):
        score(ada)
        with received_signals(signals.PROBLEM_RAW_SCORE_CHANGED) as raw:
            learner_state.set_score(ada.pk, COURSE_KEY, P1, None, None)
        points = [(each["score_deleted"], each["raw_earned"], each["raw_possible"]) for each in raw]
        assert points == [(True, 0, 0)]

    def test_published_score_is_stored_and_the_receiver_says_so(self, ada):
        """SG45: store a published score, and return whether it was stored."""
        block_double = type("Block", (), {"scope_ids": type("Ids", (), {"usage_id": P1})})()

        def publish_score(earned: float, **options) -> bool:
            ((_, written),) = signals.SCORE_PUBLISHED.send(
                sender=None,
                block=block_double,
                user=ada,
                raw_earned=earned,
                raw_possible=2,
                **options,
            )
            return written

        assert publish_score(2, only_if_higher=False)
        assert not publish_score(1, only_if_higher=True)
        assert learner_state.read_score(ada.pk, P1, COURSE_KEY).earned == 2
        assert publish_score(1, only_if_higher=False)
        recalculate_pending(ada)
        assert stored(ada).percent_grade == 0.25
