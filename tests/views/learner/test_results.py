"""SHOW_RESULTS by default: the published course, and a real problem block of the demo."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from demo import runtime
from demo.course import course as demo_course
from tests.course_grades import courses, factories
from tests.course_grades.courses import COURSE_KEY, block, key, subsection
from xqueue_bridge.views.learner.results import may_see_results

pytestmark = pytest.mark.django_db

TOMORROW = timezone.now() + timedelta(days=1)


@pytest.mark.parametrize(
    ("rule", "due", "shows"),
    [
        ("always", None, True),
        ("never", None, False),
        ("never_but_include_grade", None, False),
        ("past_due", TOMORROW, False),
        ("past_due", TOMORROW - timedelta(days=2), True),
    ],
)
def test_subsection_of_the_published_course_decides(rule, due, shows):
    exam = subsection("exam", block("x1", 4), show_correctness=rule, due=due)
    factories.publish(courses.course(exam, subsection("one", block("p1", 4))))
    assert may_see_results(7, COURSE_KEY, key("problem", "x1")) == shows
    assert may_see_results(7, COURSE_KEY, key("problem", "p1"))


def test_course_that_is_not_published_shows_results():
    assert may_see_results(7, COURSE_KEY, key("problem", "x1"))


@pytest.mark.parametrize(("rule", "shows"), [("always", True), ("never", False)])
def test_problem_block_decides_as_on_its_own_page(settings, monkeypatch, rule, shows):
    problem = demo_course().by_url_name("fizzbuzz")
    hidden = replace(problem, settings={**problem.settings, "show_correctness": rule})
    load = runtime.load_block

    def load_hidden(user_id: int, course_key: Any, usage_key: Any) -> Any:
        return load(user_id, course_key, usage_key, problem=hidden)

    monkeypatch.setattr(runtime, "load_block", load_hidden)
    settings.XQUEUE_BRIDGE = {"BLOCK_LOADER": "demo.runtime.load_block"}
    user_id = User.objects.create(username="ada").pk
    usage_key = problem.usage_key
    assert may_see_results(user_id, usage_key.context_key, usage_key) == shows
