"""DESCRIBE_PROBLEM of an LMS: names, weight and page of a problem, from the module store."""

from __future__ import annotations

from django.urls import reverse
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.data import ProblemDescription


def describe_problem(course_key: CourseKey, usage_key: UsageKey) -> ProblemDescription:
    """Return what learners see of a problem; nothing of a block or course that was deleted.

    The block is not bound to a learner, so no state is read. ``jump_to`` redirects to the unit with
    the block, in the Learning MFE, too.
    """
    from xmodule.modulestore.django import modulestore
    from xmodule.modulestore.exceptions import ItemNotFoundError

    store = modulestore()
    with store.bulk_operations(course_key):
        try:
            block = store.get_item(usage_key)
        except ItemNotFoundError:
            return ProblemDescription()
        course = store.get_course(course_key)
    return ProblemDescription(
        name=block.display_name_with_default or "",
        course_name=(course.display_name_with_default or "") if course else "",
        url=reverse("jump_to", args=[str(course_key), str(usage_key)]),
        weight=getattr(block, "weight", None),
    )
