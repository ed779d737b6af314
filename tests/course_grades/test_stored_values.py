"""What of a grade is stored and read back, and what a request computes: each value, each filter."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY, block, key, subsection
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
    request_of,
    score,
    stored,
    sweep_later,
)
from xqueue_bridge import api as public
from xqueue_bridge.course_grades import api, grade_update, persistence
from xqueue_bridge.course_grades.models import (
    GradeRecalculation,
    PersistentCourseGrade,
    PersistentSubsectionGrade,
    PersistentSubsectionGradeOverride,
)
from xqueue_bridge.course_grades.queries import read_gradebook
from xqueue_bridge.course_structure.models import CourseStructureVersion

OTHER_COURSE = CourseKey.from_string("course-v1:DemoX+OTHER+2026")

factory = api.CourseGradeFactory()


def test_read_returns_each_stored_value(ada):
    """SG65: also the time of the first pass and the version."""
    score(ada, P1)
    score(ada, P2)
    recalculate_pending(ada)
    row, grade = stored(ada), factory.read(ada, course_key=COURSE_KEY)
    assert (grade.passed, grade.passed_timestamp) == (True, row.passed_timestamp)
    assert row.passed_timestamp is not None
    assert grade.version == row.version == 1
    assert grade.stored_version == row.stored_version


def test_grade_of_another_course_is_not_read(ada):
    """SG65: each course has its own row for the learner."""
    now = timezone.now()
    times = {"created": now, "modified": now, "computed_at": now}
    PersistentCourseGrade.objects.create(
        user_id=ada.pk,
        course_id=OTHER_COURSE,
        percent_grade=0.9,
        exact_percent=0.9,
        letter_grade="A",
        passed=True,
        **times,
    )
    assert factory.read(ada, course_key=COURSE_KEY, create_if_needed=False) is None
    score(ada)
    recalculate_pending(ada)
    assert percent_of(ada.pk, COURSE_KEY) == 0.5
    assert percent_of(ada.pk, OTHER_COURSE) == 0.9
    assert read_gradebook(COURSE_KEY, [ada.pk])[ada.pk].percent == 0.5
    assert read_gradebook(OTHER_COURSE, [ada.pk])[ada.pk].percent == 0.9
    for course_key, expected in ((COURSE_KEY, 0.5), (OTHER_COURSE, 0.9)):
        [found] = factory.iter([ada], course_key=course_key)
        assert found.course_grade.percent == expected


def percent_of(user_id: int, course_key: CourseKey) -> float:
    row = persistence.read_course_row(user_id, course_key)
    assert row is not None
    return row.percent_grade


def test_first_grade_computes_all_subsections(ada):
    """SG66: scores that are older than the table count at the first grade."""
    score(ada, P1)
    GradeRecalculation.objects.all().delete()
    score(ada, key("problem", "e1"), 1, 5)
    recalculate_pending(ada)
    assert percent(ada) == 0.5


def test_later_grade_uses_stored_subsections_around_a_missing_one(committed_ada):
    """SG70: a subsection without a grade does not end the computation of those behind it."""
    third = subsection("third", block("t1", 2))
    publish(courses.course(HOMEWORK, EXERCISE, third, edited_on=datetime(2026, 2, 1, tzinfo=UTC)))
    score(committed_ada, P1)
    recalculate_pending(committed_ada)
    score(committed_ada, key("problem", "t1"), 2, 2)
    PersistentSubsectionGrade.objects.filter(usage_key=EXERCISE.usage_key).delete()
    recalculate_pending(committed_ada)
    names = PersistentSubsectionGrade.objects.values_list("usage_key", flat=True)
    assert third.usage_key in set(names)


def test_retry_of_a_failed_recalculation_computes_everything(ada):
    """SG76: the row counts as a new request for all subsections."""
    score(ada, P1)
    recalculate_pending(ada)
    PersistentSubsectionGrade.objects.update(earned_graded=0, earned_all=0)
    GradeRecalculation.objects.update(next_attempt_at=None, done=0, wanted=1, changes="")
    before = request_of(ada)
    assert api.retry_failed([before.pk]) == 1
    after = request_of(ada)
    assert after.wanted == before.wanted + 1
    assert after.next_attempt_at is not None
    assert sweep_later() == 1
    assert percent(ada) == 0.5
    row = request_of(ada)
    assert (row.attempts, row.done, row.changes) == (0, row.wanted, "")


def test_request_of_a_course_leaves_the_regrade_of_another(ada):
    """SG64: a publish of another course still waits for its own regrade."""
    score(ada)
    publish(replace(COURSE, course_key=OTHER_COURSE, chapters=()))
    CourseStructureVersion.objects.update(regrade_due_at=timezone.now())
    assert api.request_course(COURSE_KEY) == 1
    due = CourseStructureVersion.objects.exclude(regrade_due_at=None)
    assert set(due.values_list("course_key", flat=True)) == {OTHER_COURSE}


def test_grade_that_is_not_dirty_is_not_computed(ada):
    """SG76: nothing is stored a second time."""
    assert recalculate_pending(ada) is False
    score(ada)
    assert recalculate_pending(ada) is True
    before = stored(ada).computed_at
    assert recalculate_pending(ada) is False
    assert stored(ada).computed_at == before


def test_override_and_its_history_have_each_value(ada):
    """SG71: the points of all and of graded problems, reason, system and author."""
    score(ada)
    given = public.SubsectionOverride(1, 4, 3, 4, reason="late", system="staff", author_id=ada.pk)
    public.set_override(ada.pk, COURSE_KEY, HOMEWORK.usage_key, given)
    [entry] = public.override_history(ada.pk, COURSE_KEY)
    assert entry.override == given
    _row, grade = persistence.read_subsections(ada.pk, COURSE_KEY)[HOMEWORK.usage_key]
    assert grade.override == given
    assert (grade.all_total.earned, grade.graded_total.earned) == (1, 3)
    assert (grade.computed_all.graded, grade.computed_graded.graded) == (False, True)


def test_override_and_its_history_are_of_one_learner_and_course(ada):
    """SG76: the history of one learner in one course."""
    given = public.SubsectionOverride(earned_graded=1, reason="late", author_id=1)
    bob = make_learner("bob")
    public.set_override(bob.pk, COURSE_KEY, HOMEWORK.usage_key, given)
    assert len(list(public.override_history(bob.pk, COURSE_KEY))) == 1
    assert not list(public.override_history(ada.pk, COURSE_KEY))
    assert not list(public.override_history(bob.pk, OTHER_COURSE))
    public.set_override(ada.pk, COURSE_KEY, HOMEWORK.usage_key, given)
    rows = PersistentSubsectionGradeOverride.objects.order_by("pk")
    assert list(rows.values_list("grade__user_id", flat=True)) == [bob.pk, ada.pk]


def test_first_attempt_stays_in_both_sums(ada):
    """SG69: later attempts do not move it, nor does a reset."""
    score(ada)
    recalculate_pending(ada)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    PersistentSubsectionGrade.objects.update(first_attempted=first)
    score(ada, P2)
    updated = factory.update(ada, course_key=COURSE_KEY, force_update_subsections=True)
    grade = updated.subsection_grade(HOMEWORK.usage_key)
    assert grade is not None
    assert grade.computed_all.first_attempted == grade.computed_graded.first_attempted == first


@pytest.mark.parametrize(
    ("stored_on", "edited_on", "version", "is_later"),
    [
        (None, 2, "v", False),
        (2, None, "v", False),
        (None, None, "v", False),
        (3, 2, "same", True),
        (2, 2, "same", False),
        (2, 2, "v", True),
        (1, 2, "v", False),
    ],
)
def test_grade_of_a_later_publication(stored_on, edited_on, version, is_later):
    """SG75: without both dates nothing says that a grade is of a later publication."""

    def day(number: int | None) -> datetime | None:
        return None if number is None else datetime(2026, 1, number, tzinfo=UTC)

    row = PersistentCourseGrade(course_edited_timestamp=day(stored_on), course_version="same")
    course = replace(COURSE, edited_on=day(edited_on), version=version)
    assert grade_update._may_be_later(row, course) is is_later


def test_stored_subsection_names_its_publication(ada):
    """SG62: the version and the time of the course that it was computed from."""
    score(ada)
    recalculate_pending(ada)
    row = PersistentSubsectionGrade.objects.get()
    assert row.course_version == stored(ada).course_version == COURSE.version
    assert row.subtree_edited_timestamp == COURSE.edited_on
