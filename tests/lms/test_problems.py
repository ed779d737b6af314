"""DESCRIBE_PROBLEM of an LMS: what the module store says of a problem."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.urls import path
from opaque_keys.edx.keys import CourseKey

from tests.lms import stand_ins
from xqueue_bridge.conf import options
from xqueue_bridge.data import ProblemDescription
from xqueue_bridge.lms.problems import describe_problem

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
USAGE = COURSE.make_usage_key("problem", "fizzbuzz")
PAGE = f"/courses/{COURSE}/jump_to/{USAGE}"

# As in lms/urls.py, where the two parts have the names course_id and location.
urlpatterns = [path("courses/<course_id>/jump_to/<path:location>", print, name="jump_to")]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def platform(monkeypatch) -> stand_ins.Platform:
    found = stand_ins.install(monkeypatch)
    found.store.courses[COURSE] = SimpleNamespace(display_name_with_default="Programming")
    found.store.blocks[USAGE] = SimpleNamespace(display_name_with_default="Fizz", weight=2.5)
    return found


def test_problem_has_names_page_and_weight(platform):
    assert describe_problem(COURSE, USAGE) == ProblemDescription("Fizz", "Programming", PAGE, 2.5)
    assert platform.store.bulk == [COURSE]


def test_block_without_weight_or_course(platform):
    platform.store.blocks[USAGE] = SimpleNamespace(display_name_with_default=None)
    platform.store.courses.clear()
    assert describe_problem(COURSE, USAGE) == ProblemDescription(url=PAGE)


def test_deleted_block(platform):
    platform.store.blocks.clear()
    assert describe_problem(COURSE, USAGE) == ProblemDescription()


def test_lms_uses_it_by_default(monkeypatch):
    assert options().DESCRIBE_PROBLEM.startswith("xqueue_bridge.views")
    stand_ins.add_installed_apps(monkeypatch, stand_ins.COURSEWARE)
    assert f"{describe_problem.__module__}.describe_problem" == options().DESCRIBE_PROBLEM
