"""CourseGradeFactory, as upstream's callers know it."""

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
    request_of,
    score,
    settle,
    stored,
)
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_grades.models import PersistentCourseGrade, PersistentSubsectionGrade
from xqueue_bridge.course_structure import store
from xqueue_bridge.learner_state import api as learner_state

factory = api.CourseGradeFactory()


class TestRead:
    def test_it_works(self, ada):
        score(ada)
        settle(ada)
        grade = factory.read(ada, course_key=COURSE_KEY)
        assert (grade.user_id, grade.course_key) == (ada.pk, COURSE_KEY)
        assert (grade.percent, grade.exact_percent, grade.letter_grade) == (0.5, 0.5, None)
        assert grade.passed is False
        assert grade.attempted is True
        assert grade.last_updated == stored(ada).modified

    def test_nothing_is_stored(self, ada):
        """SG65: a zero grade; None for who does not need one."""
        grade = factory.read(ada, course_key=COURSE_KEY)
        assert isinstance(grade, api.ZeroCourseGrade)
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
    def test_every_form_of_a_course(self, ada, form):
        assert factory.read(ada, **form).course_key == COURSE_KEY

    def test_no_course(self, ada):
        for call in (factory.read, factory.update):
            with pytest.raises(ValueError, match="which course"):
                call(ada)
        with pytest.raises(ValueError, match="which course"):
            factory.iter([ada])

    def test_one_statement(self, ada, django_assert_num_queries):
        with django_assert_num_queries(1):
            factory.read(ada, course_key=COURSE_KEY)


class TestUpdate:
    def test_stored_subsections_are_used(self, ada):
        """SG64: without force what is stored counts, and what is not counts zero."""
        score(ada, P1, 1)
        assert factory.update(ada, course_key=COURSE_KEY).percent == 0.0
        assert not PersistentSubsectionGrade.objects.exists()
        settle(ada)
        factory.update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        score(ada, P2, 2)
        assert factory.update(ada, course_key=COURSE_KEY).percent == 0.25

    def test_with_force_all_are_computed(self, ada):
        """SG64: with force every subsection is computed from scores."""
        score(ada, P1, 1)
        grade = factory.update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        assert grade.percent == stored(ada).percent_grade == 0.25
        rows = PersistentSubsectionGrade.objects.values_list("usage_key", "first_attempted")
        assert {key.block_id: first is not None for key, first in rows} == {
            "homework": True,
            "exercise": False,
        }

    def test_it_returns_everything(self, ada):
        score(ada, P1)
        score(ada, P2)
        grade = factory.update(ada, course_key=COURSE_KEY, force_update_subsections=True)
        assert (grade.percent, grade.letter_grade, grade.passed) == (1.0, "Pass", True)
        assert grade.last_updated == grade.passed_timestamp == stored(ada).modified
        assert grade.summary["grade_breakdown"]["Homework"]["percent"] == 1.0
        homework = grade.subsection_grade(HOMEWORK.usage_key)
        assert (homework.graded_total.earned, homework.percent_graded) == (4, 1.0)
        assert homework.problem_scores[P1].earned == 2

    def test_an_unknown_course(self, db):
        with pytest.raises(api.UnknownCourse, match="No structure"):
            factory.update(make_learner(), course_key=COURSE_KEY)

    def test_what_is_requested_stays_so(self, ada):
        score(ada)
        factory.update(ada, course_key=COURSE_KEY)
        assert request_of(ada).next_attempt_at is not None


class TestIter:
    def test_some_fail(self, course, monkeypatch):
        """SG66: five results in order, two with an error, and one look at the structure."""
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

    def test_stored_ones(self, course, django_assert_num_queries):
        learners = [make_learner(f"l{n}") for n in range(20)]
        score(learners[7])
        settle(learners[7])
        with django_assert_num_queries(1):
            results = list(factory.iter(learners, course_key=COURSE_KEY))
        assert [result.course_grade.percent for result in results] == [
            0.5 if n == 7 else 0.0 for n in range(20)
        ]
        assert {result.error for result in results} == {None}
        assert factory.GradeResult is api.GradeResult

    @pytest.mark.parametrize("edited_on", [datetime(2026, 2, 1, tzinfo=UTC), COURSE.edited_on])
    def test_a_publish_meanwhile(self, course, edited_on):
        """SG70: a document may have been changed, and its date left as it was."""
        first, second = make_learner("a"), make_learner("b")
        for learner in (first, second):
            score(learner)
        results = factory.iter([first, second], course_key=COURSE_KEY, force_update=True)
        assert next(results).course_grade.percent == 0.5
        single = replace(HOMEWORK, blocks=HOMEWORK.blocks[:1])
        publish(courses.course(single, edited_on=edited_on))
        factory.update(second, course_key=COURSE_KEY, force_update_subsections=True)
        assert next(results).course_grade.percent == 1.0


class TestPages:
    def test_progress(self, ada, django_assert_num_queries):
        score(ada, P1, 1)
        settle(ada)
        score(ada, P2, 2)  # not yet computed
        with django_assert_num_queries(3):
            grade = api.read_progress(ada.pk, COURSE)
        homework = grade.subsection_grade(HOMEWORK.usage_key)
        assert (grade.percent, homework.graded_total.earned) == (0.25, 1)
        assert homework.problem_scores[P2].earned == 2
        assert grade.summary["percent"] == 0.25

    def test_progress_of_a_newcomer(self, ada):
        """SG52: who never tried sees the same maximum as all the others."""
        grades = [api.read_progress(user.pk, COURSE) for user in (ada, make_learner("bob"))]
        assert [g.subsection_grade(HOMEWORK.usage_key).graded_total.possible for g in grades] == [
            4,
            4,
        ]
        assert [grade.attempted for grade in grades] == [False, False]

    def test_gradebook(self, course, django_assert_num_queries):
        learners = [make_learner(f"l{n}") for n in range(5)]
        score(learners[2])
        settle(learners[2])
        with django_assert_num_queries(2):
            book = api.read_gradebook(COURSE_KEY, [learner.pk for learner in learners])
        assert [grade.percent for grade in book.values()] == [0.0, 0.0, 0.5, 0.0, 0.0]
        sums = book[learners[2].pk].subsection_grade(HOMEWORK.usage_key).graded_total
        assert (sums.earned, sums.possible) == (2, 4)

    def test_gradebook_of_some_subsections(self, ada, django_assert_num_queries):
        score(ada)
        score(ada, E1, 5, 5)
        settle(ada)
        (grade,) = api.read_gradebook(COURSE_KEY, [ada.pk], [HOMEWORK.usage_key]).values()
        assert list(grade.subsection_grades) == [HOMEWORK.usage_key]
        with django_assert_num_queries(1):
            (grade,) = api.read_gradebook(COURSE_KEY, [ada.pk], []).values()
        assert (grade.percent, grade.subsection_grades) == (0.5, {})
