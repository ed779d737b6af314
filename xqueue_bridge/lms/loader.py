"""BLOCK_LOADER of an LMS: load a learner's block outside of a request."""

from __future__ import annotations

from typing import Any

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.lms.block import ProblemBlock


def load_block(user_id: int, course_key: CourseKey, usage_key: UsageKey) -> ProblemBlock | None:
    """Return the block with the learner's state; None if the course or block was deleted.

    Raise ObjectDoesNotExist if there is no such user. Any other exception is temporary: it says
    that the module store could not be read, and nothing about the block.

    Access is not checked: a result counts for a learner who has lost access since (decision 50).
    Overrides for the course apply (CCX, individual due dates), because the course is passed on.
    """
    from django.contrib.auth import get_user_model
    from xmodule.modulestore.django import modulestore
    from xmodule.modulestore.exceptions import ItemNotFoundError

    user = get_user_model().objects.get(pk=user_id)
    store = modulestore()
    with store.bulk_operations(course_key):
        try:
            block = store.get_item(usage_key)
        except ItemNotFoundError:
            return None
        course = store.get_course(course_key)
        if course is None:
            return None
        return _bind(user, course_key, course, block)


def _bind(user: Any, course_key: CourseKey, course: object, block: object) -> ProblemBlock:
    """Bind the block to the learner, as the platform does for a request."""
    from lms.djangoapps.courseware.block_render import get_block_for_descriptor
    from lms.djangoapps.courseware.model_data import FieldDataCache

    fields = FieldDataCache.cache_for_block_descendents(course_key, user, block, depth=0)
    # The platform's mark of a request without authentication, for which it checks no access. The
    # object is ours alone: nothing else reads the mark.
    user.known = False
    return get_block_for_descriptor(
        user,
        None,
        block,
        fields,
        course_key,
        grade_bucket_type="xqueue",
        course=course,
        track_function=_Track(course_key, user.pk),
        request_token="xqueue_bridge",  # noqa: S106 - the name of a request, not a secret
    )


class _Track:
    """Emit a block's events with the context that a request would give them."""

    def __init__(self, course_key: CourseKey, user_id: int) -> None:
        self._course_key, self._user_id = course_key, user_id

    def __call__(self, event_type: str, event: dict[str, object]) -> None:
        from common.djangoapps.track import contexts
        from eventtracking import tracker

        context = contexts.course_context_from_course_id(self._course_key)
        context["user_id"] = self._user_id
        with tracker.get_tracker().context("xqueue_bridge", context):
            tracker.emit(event_type, event)
