"""``CourseGradeFactory`` with the arguments and results of upstream's, and the grades for pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY
from tests.course_grades.factories import (
    COURSE,
    E1,
    HOMEWORK,
    P1,
    P2,
    make_learner,
    publish,
    recalculate_pending,
    request_of,
    score,
    stored,
)
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_grades.course_grade import ZeroCourseGrade
from xqueue_bridge.course_grades.models import PersistentCourseGrade, PersistentSubsectionGrade
from xqueue_bridge.course_grades.recalculation import UnknownCourse
from xqueue_bridge.course_structure import store
from xqueue_bridge.learner_state import api as learner_state

EARLIER, LATER = (datetime(year, 2, 1, tzinfo=UTC) for year in (2025, 2026))

factory = api.CourseGradeFactory()


class TestRead:
    def test_stored_grade_is_returned(self, ada):
        score(ada)
        recalculate_pending(ada)
        grade = factory.read(ada, course_key=COURSE_KEY)
        assert (grade.user_id, grade.course_key) == (ada.pk, COURSE_KEY)
        assert (grade.percent, grade.exact_percent, grade.letter_grade) == (0.5, 0.5, None)
        assert grade.passed is False
        assert grade.attempted is True
        assert grade.last_updated == stored(ada).modified

    def test_learner_without_grade_gets_zero_grade_or_none(self, ada):
        """SG65: return a zero grade, or None with ``create_if_needed=False``."""
        grade = factory.read(ada, course_key=COURSE_KEY)
        assert isinstance(grade, ZeroCourseGrade)
        assert (grade.percent, grade.letter_grade, grade.passed) == (0.0, None, False)
        assert (grade.attempted, grade.last_updated) == (False, None)
        assert factory.read(ada, course_key=COURSE_KEY, create_if_needed=False) is None
        assert not PersistentCourseGrade.objects.exists()

    @pytest.mark.parametrize(
        "form",
        [
            {"course": SimpleNamespace(id=COURSE_KEY)},
            {"course": COURSE},
            {"collected_block_structure": COURSE},
            {"course_structure": COURSE},
            {"course_key": COURSE_KEY},
        ],
        ids=lambda form: next(iter(form)),
    )
    def test_course_is_accepted_in_each_argument(self, ada, form):
        assert factory.read(ada, **form).course_key == COURSE_KEY

    def test_call_without_course_is_an_error(self, ada):
        for call in (factory.read, factory.update):
            with pytest.raises(ValueError, match="which course"):
                call(ada)
        with pytest.raises(ValueError, match="which course"):
            factory.iter([ada])

    def test_read_takes_one_statement(self, ada, django_assert_num_queries):
        with django_assert_num_queries(1):
            factory.read(ada, course_key=COURSE_KEY)


class TestUpdate:
    def test_update_without_force_uses_stored_subsections(self, ada):
        """SG64: without force, a subsection that is not stored counts 0."""
        score(ada, P1, 1)
        assert factory.update(ada, course_key=COURSE_KEY).percent == 0.0
        assert not PersistentSubsectionGrade.objects.exists()
        recalculate_pending(ada)
        factory.update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        score(ada, P2, 2)
        assert factory.update(ada, course_key=COURSE_KEY).percent == 0.25

    def test_update_with_force_computes_every_subsection(self, ada):
        """SG64: compute every subsection from scores, with force."""
        score(ada, P1, 1)
        grade = factory.update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        assert grade.percent == stored(ada).percent_grade == 0.25
        rows = PersistentSubsectionGrade.objects.values_list("usage_key", "first_attempted")
        assert {key.block_id: first is not None for key, first in rows} == {
            "homework": True,
            "exercise": False,
        }

    def test_update_returns_grade_with_breakdown_and_problem_scores(self, ada):
        score(ada, P1)
        score(ada, P2)
        grade = factory.update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        assert (grade.percent, grade.letter_grade, grade.passed) == (1.0, "Pass", True)
        assert grade.last_updated == grade.passed_timestamp == stored(ada).modified
        assert grade.summary["grade_breakdown"]["Homework"]["percent"] == 1.0
        homework = grade.subsection_grade(HOMEWORK.usage_key)
        assert (homework.graded_total.earned, homework.percent_graded) == (4, 1.0)
        assert homework.problem_scores[P1].earned == 2

    def test_update_of_an_unknown_course_is_an_error(self, db):
        with pytest.raises(UnknownCourse, match="No structure"):
            factory.update(make_learner(), course_key=COURSE_KEY)

    def test_update_keeps_requested_recalculation_due(self, ada):
        score(ada)
        factory.update(ada, course_key=COURSE_KEY)
        assert request_of(ada).next_attempt_at is not None


class TestIter:
    def test_failed_learners_have_an_error_in_their_result(self, course, monkeypatch):
        """SG66: return five results in order, two with an error; read the structure once."""
        learners = [make_learner(name) for name in "abcde"]
        for learner in learners:
            score(learner)
        bad = {learners[1].pk, learners[3].pk}
        read = learner_state.read_course_scores

        def fail(user_id, course_key):
            if user_id in bad:
                raise RuntimeError("no scores")
            return read(user_id, course_key)

        monkeypatch.setattr(learner_state, "read_course_scores", fail)
        looks = []
        get = store.StoredStructures.get
        monkeypatch.setattr(
            store.StoredStructures,
            "get",
            lambda self, key: looks.append(key) or get(self, key),
        )
        results = list(factory.iter(iter(learners), course_key=COURSE_KEY, force_update=True))
        assert [result.student for result in results] == learners
        assert [result.error is None for result in results] == [True, False, True, False, True]
        assert isinstance(results[1].error, RuntimeError)
        assert results[1].course_grade is None
        assert [r.course_grade.percent for r in results if r.course_grade] == [0.5] * 3
        assert len(looks) == 1

    def test_stored_grades_of_20_learners_take_one_statement(
        self, course, django_assert_num_queries
    ):
        learners = [make_learner(f"l{n}") for n in range(20)]
        score(learners[7])
        recalculate_pending(learners[7])
        with django_assert_num_queries(1):
            results = list(factory.iter(learners, course_key=COURSE_KEY))
        assert [result.course_grade.percent for result in results] == [
            0.5 if n == 7 else 0.0 for n in range(20)
        ]
        assert {result.error for result in results} == {None}

    @pytest.mark.parametrize(
        ("edited_on", "is_reset"),
        [(LATER, False), (COURSE.edited_on, False), (LATER, True)],
    )
    def test_course_published_during_iter_is_used_for_the_next_learner(
        self, course, edited_on, is_reset
    ):
        """SG70: use the new content and all scores, also if ``edited_on`` is unchanged or less."""
        first, second = make_learner("a"), make_learner("b")
        for learner in (first, second):
            score(learner)
        results = factory.iter([first, second], course_key=COURSE_KEY, force_update=True)
        assert next(results).course_grade.percent == 0.5
        single = replace(HOMEWORK, blocks=HOMEWORK.blocks[:1])
        publish(courses.course(single, edited_on=edited_on))
        factory.update(second, course_key=COURSE_KEY, force_update_subsections=True)
        score(second, P1, 1)
        if is_reset:
            publish(courses.course(HOMEWORK, edited_on=EARLIER))
        assert next(results).course_grade.percent == (0.25 if is_reset else 0.5)


class TestPages:
    def test_progress_has_the_stored_grade_and_the_current_problem_scores(
        self, ada, django_assert_num_queries
    ):
        score(ada, P1, 1)
        recalculate_pending(ada)
        score(ada, P2, 2)  # not yet computed
        with django_assert_num_queries(3):
            grade = api.read_progress(ada.pk, COURSE)
        homework = grade.subsection_grade(HOMEWORK.usage_key)
        assert (grade.percent, homework.graded_total.earned) == (0.25, 1)
        assert homework.problem_scores[P2].earned == 2
        assert grade.summary["percent"] == 0.25

    def test_progress_without_scores_has_the_same_maximum_for_each_learner(self, ada):
        """SG52: show each learner without an attempt the same maximum."""
        grades = [api.read_progress(user.pk, COURSE) for user in (ada, make_learner("bob"))]
        assert [g.subsection_grade(HOMEWORK.usage_key).graded_total.possible for g in grades] == [
            4,
            4,
        ]
        assert [grade.attempted for grade in grades] == [False, False]

    def test_gradebook_of_five_learners_takes_two_statements(
        self, course, django_assert_num_queries
    ):
        learners = [make_learner(f"l{n}") for n in range(5)]
        score(learners[2])
        recalculate_pending(learners[2])
        with django_assert_num_queries(2):
            book = api.read_gradebook(COURSE_KEY, [learner.pk for learner in learners])
        assert [grade.percent for grade in book.values()] == [0.0, 0.0, 0.5, 0.0, 0.0]
        sums = book[learners[2].pk].subsection_grade(HOMEWORK.usage_key).graded_total
        assert (sums.earned, sums.possible) == (2, 4)

    def test_gradebook_has_only_the_requested_subsections(self, ada, django_assert_num_queries):
        score(ada)
        score(ada, E1, 5, 5)
        recalculate_pending(ada)
        (grade,) = api.read_gradebook(COURSE_KEY, [ada.pk], [HOMEWORK.usage_key]).values()
        assert list(grade.subsection_grades) == [HOMEWORK.usage_key]
        with django_assert_num_queries(1):
            (grade,) = api.read_gradebook(COURSE_KEY, [ada.pk], []).values()
        assert (grade.percent, grade.subsection_grades) == (0.5, {})
