"""The LMS's loader: the block with the learner's state, and which faults are final."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.core.exceptions import ObjectDoesNotExist
from opaque_keys.edx.keys import CourseKey

from tests.lms import stand_ins
from xqueue_bridge.lms.loader import load_block

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
USAGE = COURSE.make_usage_key("problem", "fizzbuzz")


@pytest.fixture
def platform(monkeypatch) -> stand_ins.Platform:
    """A platform with one course and one problem."""
    found = stand_ins.install(monkeypatch)
    found.store.courses[COURSE] = SimpleNamespace(id=COURSE)
    found.store.blocks[USAGE] = SimpleNamespace(location=USAGE)
    return found


@pytest.fixture
def learner(django_user_model, db):
    return django_user_model.objects.create_user("learner")


def test_block_is_bound_to_the_learner(platform, learner, django_assert_num_queries):
    """The course is passed on, so that CCX overrides and individual due dates apply."""
    with django_assert_num_queries(1):
        block = load_block(learner.pk, COURSE, USAGE)
    assert block is platform.store.blocks[USAGE]
    [bound] = platform.bound
    assert bound["user"] == learner
    assert bound["course"] is platform.store.courses[COURSE]
    assert bound["request"] is None
    assert (bound["field_data_cache"].user, bound["field_data_cache"].depth) == (learner, 0)
    assert bound["grade_bucket_type"] == "xqueue"
    assert platform.store.bulk == [COURSE]


def test_learner_who_is_not_enrolled_gets_the_block(platform, learner):
    """C120: access is not checked, so a result counts for a learner who has left the course."""
    assert load_block(learner.pk, COURSE, USAGE) is not None


def test_deleted_block(platform, learner):
    """A deleted block does not come back: the reply is dead."""
    assert load_block(learner.pk, COURSE, COURSE.make_usage_key("problem", "gone")) is None


def test_deleted_course(platform, learner):
    del platform.store.courses[COURSE]
    assert load_block(learner.pk, COURSE, USAGE) is None


def test_deleted_user(platform, db):
    with pytest.raises(ObjectDoesNotExist):
        load_block(10**9, COURSE, USAGE)


class AutoReconnect(Exception):
    """What pymongo raises while a replica set elects a primary."""


def test_outage_of_the_module_store_is_temporary(platform, learner):
    """The platform's own function says of it that there is no such block."""
    platform.store.fault = AutoReconnect()
    with pytest.raises(AutoReconnect):
        load_block(learner.pk, COURSE, USAGE)


def test_events_have_the_course_and_the_learner(platform, learner):
    """C122: a block's events are emitted as in a request."""
    load_block(learner.pk, COURSE, USAGE)
    platform.bound[0]["track_function"]("problem_graded", {"value": 1})
    context = {"course_id": str(COURSE), "org_id": "DemoX", "user_id": learner.pk}
    assert platform.events == [("problem_graded", {"value": 1}, context)]
