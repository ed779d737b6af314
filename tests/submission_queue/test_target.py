"""The learner's block that a stored submission belongs to."""

from __future__ import annotations

import pytest
from opaque_keys.edx.keys import CourseKey

from tests.submission_queue.factories import new_submission
from xqueue_bridge.data import Target
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission


@pytest.mark.django_db
def test_deprecated_usage_key_has_its_run() -> None:
    """C122: the column of an i4x key has no run, and a module store finds no block without it."""
    course_key = CourseKey.from_string("MITx/6.00x/2013_Spring")
    usage_key = course_key.make_usage_key("problem", "loops")
    new = new_submission()
    target = Target(7, course_key, usage_key, new.target.dispatch)
    queue.enqueue(type(new)(target, new.queue_name, new.queue_key, new.header, new.body))
    assert Submission.objects.get().target == target
