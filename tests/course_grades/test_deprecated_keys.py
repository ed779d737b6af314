"""Courses with deprecated keys, whose usage keys (i4x) contain no run."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from opaque_keys.edx.keys import CourseKey, UsageKey

from tests.course_grades import courses, factories
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_grades.models import GradeRecalculation
from xqueue_bridge.course_structure.json_format import course_from
from xqueue_bridge.learner_state import student_module as learner_state

KEY = CourseKey.from_string("O/C/R")
FIRST = UsageKey.from_string("i4x://O/C/sequential/s1").map_into_course(KEY)


def _subsection(number: int) -> dict:
    return {
        "key": f"i4x://O/C/sequential/s{number}",
        "format": "Homework",
        "graded": True,
        "blocks": [{"key": f"i4x://O/C/problem/p{number}", "max_score": 2}],
    }


@pytest.fixture
def ada(db) -> User:
    made = {
        "course_key": str(KEY),
        "grading_policy": {"GRADER": [courses.HOMEWORK], "GRADE_CUTOFFS": {"Pass": 0.6}},
        "chapters": [
            {"key": "i4x://O/C/chapter/c", "subsections": [_subsection(1), _subsection(2)]}
        ],
    }
    factories.publish(course_from(made))
    return factories.make_learner()


def score(user: User, number: int, earned: float) -> None:
    usage_key = UsageKey.from_string(f"i4x://O/C/problem/p{number}").map_into_course(KEY)
    learner_state.set_score(user.pk, KEY, usage_key, earned, 2)
    api.recalculate_requested(user.pk, KEY)


def test_recalculations_find_scores_and_keep_other_subsections(ada):
    """SG13, SG64: read the score at a deprecated key, and keep what other recalculations stored."""
    for number in (1, 2):
        score(ada, number, 2)
        assert GradeRecalculation.objects.get().last_error == ""
    assert factories.percent(ada) == 1.0
    score(ada, 2, 1)
    assert factories.percent(ada) == 0.75


def test_override_is_set_shown_kept_and_removed(client, ada):
    """SG76: count and show an override, keep it in a recalculation, and remove it."""
    score(ada, 1, 1)
    client.force_login(User.objects.create(username="teacher", is_staff=True))
    url = f"/xqueue/grades/{KEY}/override/{ada.pk}/{FIRST}/"
    form = {"set-earned": "2", "set-reason": "Ill."}
    page = client.post(url, form, follow=True).content.decode()
    assert factories.percent(ada) == 0.5
    assert "set to 2" in page
    assert "2/2" in client.get(f"/xqueue/grades/{KEY}/gradebook/").content.decode()
    score(ada, 1, 0)
    assert factories.percent(ada) == 0.5
    client.post(url, {"action": "remove", "remove-reason": "Was not."})
    assert factories.percent(ada) == 0.0


def test_gradebook_is_sorted_by_a_subsection_with_deprecated_key(client, ada):
    """SG13: find a column by its key as it is stored, without the run."""
    bob = factories.make_learner("bob")
    score(ada, 1, 2)
    score(bob, 1, 1)
    client.force_login(User.objects.create(username="teacher", is_staff=True))
    book = client.get(f"/xqueue/grades/{KEY}/gradebook/", {"sort": "1", "order": "asc"})
    assert [row.learner.user_id for row in book.context["rows"]] == [bob.pk, ada.pk]
