"""The same grade, in whatever order scores, resets, deletions, policies and overrides come.

The expected grade is computed from nothing: from the stored scores and overrides, with the
published course (issue 9, kind 16).
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY, block, key, subsection
from tests.course_grades.factories import make_learner, publish
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_grades.course_grade import CourseGrade, compute_course
from xqueue_bridge.course_grades.models import (
    GradeRecalculation,
    PersistentCourseGrade,
    PersistentSubsectionGrade,
    PersistentSubsectionGradeOverride,
)
from xqueue_bridge.course_grades.persistence import override_of
from xqueue_bridge.course_grades.subsection_grade import compute_subsection
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.learner_state.models import RetiredLearner, StudentModule
from xqueue_bridge.learner_state.student_module import set_score
from xqueue_bridge.retirement import retire_learner

POOL = COURSE_KEY.make_usage_key("library_content", "pool")
#: Maxima that are known, unknown, and of a pool from which a learner gets one block.
PARTS = (
    subsection("one", block("a", 2), block("b", 4, weight=3)),
    subsection("two", block("c", None)),
    subsection(
        "three", block("d", 1, pool=POOL), block("e", 5, pool=POOL), selection_counts={POOL: 1}
    ),
    subsection("practice", block("f", 3), format=None, graded=False),
)
POLICIES = [
    courses.policy(Pass=0.6),
    courses.policy(Pass=0.2, A=0.9),
    courses.policy({**courses.HOMEWORK, "min_count": 4, "drop_count": 1}, Pass=0.5),
]
NAMES = "abcdef"
points = st.integers(0, 4)
names = st.sampled_from(NAMES)
sequentials = st.sampled_from([part.usage_key for part in PARTS])


def problem(name: str):
    return key("problem", name)


def publish_policy(number: int) -> None:
    publish(courses.course(*PARTS, grading=POLICIES[number]))


def computed_from_nothing(user_id: int) -> CourseGrade:
    course = course_structure.course_structures().get(COURSE_KEY)
    scores = learner_state.read_course_scores(user_id, COURSE_KEY)
    rows = PersistentSubsectionGradeOverride.objects.filter(grade__user_id=user_id)
    overrides = {row.grade.usage_key: override_of(row) for row in rows.select_related("grade")}
    grades = {
        part.usage_key: compute_subsection(part, scores, overrides.get(part.usage_key))
        for part in course.subsections
    }
    return compute_course(user_id, course, grades)


def process_all() -> None:
    """Sweep until no recalculation is due, a while later each time."""
    for minutes in range(1, 30):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=False):
            api.request_due_courses()
            api.recalculate_due()
        if not GradeRecalculation.objects.filter(next_attempt_at__isnull=False).exists():
            return
    raise AssertionError("a recalculation never ends")


class OrderOfEvents(RuleBasedStateMachine):
    """What may happen to a learner's grade, in any order."""

    @initialize(policy=st.integers(0, 2))
    def begin(self, policy):
        for table in (
            StudentModule,  # first, because deletions request recalculations
            GradeRecalculation,
            PersistentSubsectionGrade,
            PersistentCourseGrade,
            RetiredLearner,
        ):
            table.objects.all().delete()
        self.ada = make_learner(f"learner {timezone.now().timestamp()}")
        self.retired = False
        publish_policy(policy)

    @rule(name=names, earned=points, possible=st.integers(1, 5))
    def scores(self, name, earned, possible):
        if not self.retired:
            set_score(self.ada.pk, COURSE_KEY, problem(name), min(earned, possible), possible)

    @rule(name=names, possible=st.integers(1, 5))
    def is_opened(self, name, possible):
        """A score without an attempt, whose maximum is not the block's."""
        if not self.retired:
            set_score(self.ada.pk, COURSE_KEY, problem(name), None, possible)

    @rule(name=names)
    def is_reset(self, name):
        if not self.retired:
            set_score(self.ada.pk, COURSE_KEY, problem(name), None, None)

    @rule(name=names)
    def row_is_deleted(self, name):
        StudentModule.objects.filter(student=self.ada, module_state_key=problem(name)).delete()

    @rule(policy=st.integers(0, 2))
    def policy_changes(self, policy):
        publish_policy(policy)

    @rule(usage_key=sequentials, earned=points)
    def is_overridden(self, usage_key, earned):
        if not self.retired:
            given = api.SubsectionOverride(earned_graded=earned, reason="ill", author_id=1)
            api.set_override(self.ada.pk, COURSE_KEY, usage_key, given)

    @rule(usage_key=sequentials)
    def override_is_removed(self, usage_key):
        if not self.retired:
            api.remove_override(self.ada.pk, COURSE_KEY, usage_key, author_id=1, reason="x")

    @rule()
    def worker_runs(self):
        api.recalculate_requested(self.ada.pk, COURSE_KEY)

    @rule(force=st.booleans())
    def is_updated(self, force):
        api.CourseGradeFactory().update(
            self.ada, course_key=COURSE_KEY, force_update_subsections=force
        )

    @rule(mode=st.sampled_from(["scrub", "purge"]))
    def is_retired(self, mode):
        retire_learner(self.ada.pk, mode)
        self.retired = self.retired or mode == "purge"

    @rule()
    def sweeper_runs(self):
        process_all()

    @invariant()
    def no_purged_grade_is_stored(self):
        if getattr(self, "retired", False):
            assert not PersistentCourseGrade.objects.exists()
            assert not PersistentSubsectionGrade.objects.exists()

    def teardown(self):
        if not hasattr(self, "ada"):
            return
        process_all()
        expected = computed_from_nothing(self.ada.pk)
        row = PersistentCourseGrade.objects.filter(user_id=self.ada.pk).first()
        if row is None:
            assert expected.percent == 0.0
            return
        assert (row.percent_grade, row.letter_grade, row.passed) == (
            expected.percent,
            expected.letter_grade or "",
            expected.passed,
        )
        assert row.exact_percent == expected.exact_percent


@pytest.mark.django_db(transaction=True)
def test_every_order_ends_in_the_same_grade(settings, monkeypatch):
    """SG47, SG64, SG70, SG76: the stored grade is the one that is computed from nothing."""
    settings.XQUEUE_BRIDGE = {"TASK_RUNNER": "celery"}
    monkeypatch.setattr("xqueue_bridge.tasks.recalculate_grade.apply_async", lambda *a, **k: None)
    run_state_machine_as_test(OrderOfEvents, settings=_examples())


def _examples() -> settings:
    examples = 60 if connection.vendor == "sqlite" else 20
    return settings(
        max_examples=examples,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
