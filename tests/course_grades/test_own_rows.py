"""Each function reads and changes the rows of its learner and course, and of no other."""

from __future__ import annotations

import pytest
from opaque_keys.edx.keys import CourseKey

from tests.course_grades.courses import COURSE_KEY
from tests.course_grades.factories import (
    HOMEWORK,
    make_learner,
    publish,
    score,
    sweep_later,
)
from xqueue_bridge.course_grades import api, persistence, queries, recalculation_queue
from xqueue_bridge.course_grades.models import (
    GradeRecalculation,
    PersistentCourseGrade,
    PersistentSubsectionGrade,
)
from xqueue_bridge.db.transactions import in_transaction

pytestmark = pytest.mark.django_db(transaction=True)

OTHER_COURSE = CourseKey.from_string("course-v1:DemoX+OTHER+2026")
#: Learner and course of each row: the first is the one that is asked for.
ROWS = ((1, COURSE_KEY), (2, COURSE_KEY), (1, OTHER_COURSE))


@pytest.fixture
def requests() -> list[GradeRecalculation]:
    """Recalculations that are requested, each with another number of requests."""
    made = [
        GradeRecalculation(user_id=user_id, course_id=course_key, wanted=number, done=0)
        for number, (user_id, course_key) in enumerate(ROWS, 1)
    ]
    return GradeRecalculation.objects.bulk_create(made)


@pytest.fixture
def grades() -> None:
    """Stored grades of two learners, and one of them in another course."""
    publish()
    for name in ("ada", "bob"):
        score(make_learner(name))
    sweep_later()
    for model in (PersistentCourseGrade, PersistentSubsectionGrade):
        row = model.objects.order_by("user_id").first()
        row.pk, row.course_id = None, OTHER_COURSE
        row.save(force_insert=True)


def test_locked_row_is_the_learners_in_this_course(requests):
    for number, row in enumerate(ROWS, 1):
        assert in_transaction(lambda row=row: recalculation_queue.locked_row(*row)).wanted == number


def test_first_row_of_a_course_is_inserted_beside_that_of_another(requests):
    row = in_transaction(lambda: recalculation_queue.locked_row_or_new(2, OTHER_COURSE))
    assert (row.user_id, row.course_id, row.wanted) == (2, OTHER_COURSE, 0)
    assert GradeRecalculation.objects.count() == len(ROWS) + 1


def test_requests_of_a_course_without_structure_end_for_these_learners(requests):
    GradeRecalculation.objects.update(attempts=3, changes="block\t1\n")
    assert recalculation_queue.finish_without_structure([1], COURSE_KEY) == 1
    ended, *others = GradeRecalculation.objects.order_by("pk")
    assert (ended.done, ended.attempts, ended.changes) == (1, 0, "")
    assert ended.finished_at is not None
    assert {(each.done, each.attempts) for each in others} == {(0, 3)}
    assert recalculation_queue.finish_without_structure([1], COURSE_KEY) == 0


def test_unfinished_are_the_learners_of_this_course(requests):
    GradeRecalculation.objects.filter(user_id=2).update(attempts=1)
    assert recalculation_queue.unfinished(COURSE_KEY) == [1, 2]
    assert recalculation_queue.unfinished(COURSE_KEY, only_tried=True) == [2]
    GradeRecalculation.objects.filter(user_id=2).update(done=2)
    assert recalculation_queue.unfinished(COURSE_KEY) == [1]


def test_failure_of_a_request_that_was_computed_meanwhile_is_not_recorded(requests):
    GradeRecalculation.objects.filter(user_id=2).update(done=2)
    for user_id, course_key in (*ROWS[:2], (2, OTHER_COURSE)):
        recalculation_queue.record_failure(user_id, course_key, "KeyError")
    found = GradeRecalculation.objects.order_by("pk").values_list("attempts", "last_error")
    assert list(found) == [(1, "KeyError"), (0, ""), (0, "")]


@pytest.mark.usefixtures("grades")
def test_grades_that_are_read_are_those_of_the_course():
    learners = list(queries.learners_with_grades(COURSE_KEY))
    assert len(learners) == 2
    assert list(queries.learners_with_grades(OTHER_COURSE)) == learners[:1]
    assert {row.user_id for row in persistence.subsection_rows(OTHER_COURSE)} == set(learners[:1])
    found = api.read_gradebook(COURSE_KEY, learners[1:])
    assert list(found) == learners[1:]
    [grade] = found.values()
    assert grade.subsection_grade(HOMEWORK.usage_key).graded_total.earned == 2


@pytest.mark.usefixtures("grades")
def test_stored_version_is_returned_with_the_grade():
    row = PersistentCourseGrade.objects.filter(course_id=COURSE_KEY).first()
    assert persistence.course_grade_of(row).version == row.version > 0
