"""Run the host's filters, which may change or stop a submission or a result.

``xqueue_bridge/filters.py`` has the classes. It is imported only if OPEN_EDX_FILTERS_CONFIG names a
filter, because it needs openedx-filters.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from xqueue_bridge.data import GraderReply, Target
from xqueue_bridge.exceptions import FilterStopped

SUBMISSION = "org.openedx.xqueue_bridge.submission.requested.v1"
RESULT = "org.openedx.xqueue_bridge.result.received.v1"
PACKAGE_IS_MISSING = (
    "OPEN_EDX_FILTERS_CONFIG names a filter of the bridge, but openedx-filters is not installed. "
    "Install the extra: xqueue-bridge[openedx]"
)


def is_configured(filter_type: str) -> bool:
    """Return whether the host has pipeline steps for this filter."""
    configured = getattr(settings, "OPEN_EDX_FILTERS_CONFIG", None)
    return isinstance(configured, Mapping) and bool(configured.get(filter_type))


def filter_submission(
    *,
    user_id: object,
    course_key: object,
    usage_key: object,
    dispatch: str,
    queue_name: str,
    body: str,
    file_names: tuple[str, ...],
) -> tuple[object, object]:
    """Return queue name and body of a submission after the host's steps; raise FilterStopped."""
    given = {
        "user_id": user_id,
        "course_key": course_key,
        "usage_key": usage_key,
        "dispatch": dispatch,
        "queue_name": queue_name,
        "body": body,
        "file_names": file_names,
    }
    after = _run(SUBMISSION, given)
    return after["queue_name"], after["body"]


def filter_result(
    target: Target, queue_name: str, reply: GraderReply
) -> tuple[object, object, object]:
    """Return ``correct``, ``score`` and ``msg`` after the host's steps; raise FilterStopped."""
    given = {
        "user_id": target.user_id,
        "course_key": target.course_key,
        "usage_key": target.usage_key,
        "dispatch": str(target.dispatch),
        "queue_name": queue_name,
        "correct": reply.correct,
        "score": reply.score,
        "msg": reply.msg,
    }
    after = _run(RESULT, given)
    return after["correct"], after["score"], after["msg"]


def _run(filter_type: str, given: dict[str, object]) -> dict[str, object]:
    if not is_configured(filter_type):
        return given
    try:
        from openedx_filters.exceptions import OpenEdxFilterException

        from xqueue_bridge.filters import (
            ExternalGraderResultReceived,
            ExternalGraderSubmissionRequested,
        )
    except ImportError:
        raise ImproperlyConfigured(PACKAGE_IS_MISSING) from None
    ours = (ExternalGraderSubmissionRequested, ExternalGraderResultReceived)
    [wanted] = [each for each in ours if each.filter_type == filter_type]
    try:
        # A step may return a part of the names.
        return {**given, **wanted.run_filter(**given)}
    except OpenEdxFilterException as stop:
        raise FilterStopped(stop.message or "") from None
