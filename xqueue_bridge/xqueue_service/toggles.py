"""The toggle that selects the transport of a course's submissions, and its overrides."""

from __future__ import annotations

from django.apps import apps
from django.conf import settings
from django.db.models import Q
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.lms import waffle as platform_waffle

WAFFLE_FLAG = platform_waffle.FLAG_NAME

_NARROWEST_FIRST = ("course", "org", "site")


def use_edx_submissions_for_xqueue(
    course_key: LearningContextKey | None = None, *, legacy_url: str | None = None
) -> bool:
    """Return whether a course's submissions go to the Submission table, not to legacy XQueue.

    The TransportOverride with the narrowest scope decides: course, organisation, site. Without
    an override the result is True if the waffle flag is on, or if no legacy server is configured:
    neither by ``legacy_url`` nor in ``XQUEUE_INTERFACE``. Makes one query, and one more if the flag
    is not in waffle's cache.
    """
    overrides = _overrides(course_key)
    for scope in _NARROWEST_FIRST:
        if scope in overrides:
            return overrides[scope]
    return not (legacy_url or has_legacy_server()) or _is_active_in_waffle(course_key)


def has_legacy_server() -> bool:
    """Return whether the host has configured the address of a legacy XQueue server."""
    return bool((getattr(settings, "XQUEUE_INTERFACE", None) or {}).get("url"))


def set_transport_override(scope: str, name: str, use_submissions_table: bool | None) -> None:
    """Set the TransportOverride of a course, an organisation or the site; None removes it."""
    from xqueue_bridge.xqueue_service.models import TransportOverride

    if use_submissions_table is None:
        TransportOverride.objects.filter(scope=scope, name=name).delete()
    else:
        values = {"use_submissions_table": use_submissions_table}
        TransportOverride.objects.update_or_create(scope=scope, name=name, defaults=values)


def _overrides(course_key: LearningContextKey | None) -> dict[str, bool]:
    # Imported here, because problem blocks may import this module before the app registry is ready.
    from xqueue_bridge.xqueue_service.models import TransportOverride

    fits = Q(scope="site", name="")
    if course_key is not None:
        fits |= Q(scope="course", name=str(course_key))
        fits |= Q(scope="org", name=getattr(course_key, "org", None))
    return dict(
        TransportOverride.objects.filter(fits).values_list("scope", "use_submissions_table")
    )


def _is_active_in_waffle(course_key: LearningContextKey | None) -> bool:
    platform_flag = platform_waffle.course_flag()
    if platform_flag is not None:
        return bool(platform_flag.is_enabled(course_key))
    if not apps.is_installed("waffle"):
        return False
    from waffle import get_waffle_flag_model

    return get_waffle_flag_model().get(WAFFLE_FLAG).everyone is True
