"""The same grade for each order of scores, resets, deletions, policies and overrides."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY, block, key, subsection
from tests.course_grades.factories import make_learner, publish
from tests.property_examples import few
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_grades.course_grade import CourseGrade, compute_course, compute_subsection
from xqueue_bridge.course_grades.models import (
    GradeRecalculation,
    PersistentCourseGrade,
    PersistentSubsectionGrade,
    PersistentSubsectionGradeOverride,
)
from xqueue_bridge.course_grades.persistence import override_of
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


def publish_policy(number: int) -> None:
    publish(courses.course(*PARTS, grading=POLICIES[number]))


def computed_from_scores(user_id: int) -> CourseGrade:
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
    """Sweep until no recalculation is due, each time a minute later."""
    for minutes in range(1, 30):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=False):
            api.request_due_courses()
            api.recalculate_due()
        if not GradeRecalculation.objects.filter(next_attempt_at__isnull=False).exists():
            return
    raise AssertionError("a recalculation never ends")


class Learner:
    """A learner in a new course, and the events that can change the learner's grade."""

    def __init__(self, policy: int) -> None:
        for table in (
            StudentModule,  # first, because deletions request recalculations
            GradeRecalculation,
            PersistentSubsectionGrade,
            PersistentCourseGrade,
            RetiredLearner,
        ):
            table.objects.all().delete()
        self.user = make_learner(f"learner {timezone.now().timestamp()}")
        self.is_purged = False
        publish_policy(policy)

    def do(self, event: tuple) -> None:
        """Let one event happen; a purged learner gets no scores and no overrides."""
        name, *args = event
        if not (self.is_purged and name in ("score", "override", "remove_override")):
            getattr(self, name)(*args)
        if self.is_purged:
            assert not PersistentCourseGrade.objects.exists()
            assert not PersistentSubsectionGrade.objects.exists()

    def score(self, name, earned, possible):
        set_score(self.user.pk, COURSE_KEY, problem(name), earned, possible)

    def delete_row(self, name):
        StudentModule.objects.filter(student=self.user, module_state_key=problem(name)).delete()

    def override(self, usage_key, earned):
        given = api.SubsectionOverride(earned_graded=earned, reason="ill", author_id=1)
        api.set_override(self.user.pk, COURSE_KEY, usage_key, given)

    def remove_override(self, usage_key):
        api.remove_override(self.user.pk, COURSE_KEY, usage_key, author_id=1, reason="x")

    def compute(self):
        api.recalculate_requested(self.user.pk, COURSE_KEY)

    def update(self, force):
        api.CourseGradeFactory().update(
            self.user, course_key=COURSE_KEY, force_update_subsections=force
        )

    def publish(self, policy):
        publish_policy(policy)

    def sweep(self):
        process_all()

    def retire(self, mode):
        retire_learner(self.user.pk, mode)
        self.is_purged = self.is_purged or mode == "purge"


def problem(name: str):
    return key("problem", name)


names = st.sampled_from("abcdef")
sequentials = st.sampled_from([part.usage_key for part in PARTS])
policies = st.integers(0, len(POLICIES) - 1)
maxima = st.integers(1, 5)
#: Scores, attempts that are open (no points, another maximum than the block's), and resets.
scores = st.one_of(
    maxima.flatmap(
        lambda most: st.tuples(st.just("score"), names, st.integers(0, most), st.just(most))
    ),
    st.tuples(st.just("score"), names, st.none(), maxima),
    st.tuples(st.just("score"), names, st.none(), st.none()),
    st.tuples(st.just("delete_row"), names),
)
computations = st.just(("compute",))
others = st.one_of(
    st.tuples(st.just("override"), sequentials, st.integers(0, 4)),
    st.tuples(st.just("remove_override"), sequentials),
    st.tuples(st.just("update"), st.booleans()),
    st.tuples(st.just("publish"), policies),
    st.just(("sweep",)),
    st.tuples(st.just("retire"), st.sampled_from(["scrub", "purge"])),
)
# Scores and computations are most of the events; the others often compute everything anew.
events = st.lists(
    st.one_of(scores, scores, scores, computations, computations, others), max_size=12
)


def check(policy: int, happened: list[tuple]) -> None:
    learner = Learner(policy)
    for event in happened:
        learner.do(event)
    process_all()
    expected = computed_from_scores(learner.user.pk)
    row = PersistentCourseGrade.objects.filter(user_id=learner.user.pk).first()
    if row is None:
        # A retired learner gets no first grade, also if a recalculation was pending.
        assert expected.percent == 0.0 or learner_state.is_retired(learner.user.pk)
        return
    assert (row.percent_grade, row.letter_grade, row.passed, row.exact_percent) == (
        expected.percent,
        expected.letter_grade or "",
        expected.passed,
        expected.exact_percent,
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("by_workers")
def test_grade_after_random_events_equals_full_computation():
    """SG47, SG64, SG70, SG76: the stored grade equals a computation from all scores."""
    examples = few(150 if connection.vendor == "sqlite" else 60)
    given(policies, events)(settings(max_examples=examples)(check))()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("by_workers")
def test_open_attempt_in_another_subsection_counts_in_partial_computation():
    """Kind 16b: partial computations count a score without points as a full one does."""
    opened = ("score", "c", None, 5)
    check(0, [("score", "a", 2, 2), opened, ("compute",), ("score", "a", 1, 2), ("compute",)])
