"""Who is course staff: in an LMS by its access rules, in another project by a group."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from django.contrib.auth.models import Group, User
from opaque_keys.edx.keys import CourseKey

from tests.lms import platform_signatures
from tests.lms.platform_signatures import takes_parameters_of
from tests.lms.stand_ins import COURSEWARE, add_installed_apps
from xqueue_bridge.lms.course_staff import group_name, is_course_staff

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
ANOTHER = CourseKey.from_string("course-v1:DemoX+CS102+2026")


@pytest.fixture
def user(db) -> User:
    return User.objects.create(username="tea")


def test_members_of_the_courses_group_are_staff_of_that_course_only(user) -> None:
    assert not is_course_staff(user, COURSE)
    user.groups.add(Group.objects.create(name=group_name(COURSE)))
    assert is_course_staff(user, COURSE)
    assert not is_course_staff(user, ANOTHER)


@pytest.mark.parametrize("flag", ["is_staff", "is_superuser"])
def test_staff_of_the_host_are_staff_of_every_course(flag: str) -> None:
    assert is_course_staff(User(username="root", **{flag: True}), COURSE)


def test_lms_decides_by_its_access_rules(user, monkeypatch) -> None:
    add_installed_apps(monkeypatch, COURSEWARE)
    calls = []
    access = ModuleType(f"{COURSEWARE}.access")

    @takes_parameters_of(platform_signatures.has_access)
    def has_access(given):
        calls.append((given.user, given.action, given.obj, given.course_key))
        return given.obj == COURSE

    access.has_access = has_access
    for name in ("lms", "lms.djangoapps", COURSEWARE):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, f"{COURSEWARE}.access", access)
    user.groups.add(Group.objects.create(name=group_name(ANOTHER)))
    assert is_course_staff(user, COURSE)
    assert not is_course_staff(user, ANOTHER), "groups do not count in an LMS"
    assert calls[0] == (user, "staff", COURSE, None)
