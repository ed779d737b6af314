"""The platform's request cache, in processes that serve no requests."""

from __future__ import annotations

from xqueue_bridge.lms.project_type import is_cms, is_lms


def clear_request_cache() -> None:
    """Clear what the platform has cached for this thread.

    Its middleware does so for each request, and its Celery signals for each task. A process that
    loads blocks in a loop would otherwise always see the first version of a course.
    """
    if not (is_lms() or is_cms()):
        return
    from edx_django_utils.cache import RequestCache

    RequestCache.clear_all_namespaces()
