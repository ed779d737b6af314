"""Access to the course team's pages: one check for all of them, by COURSE_STAFF_CHECK."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_structure.store import course_structures
from xqueue_bridge.views.decorators import login_required

P = ParamSpec("P")
MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class TeamCourse:
    """The course of a page; ``display_name`` is "" if its structure is not published."""

    course_key: CourseKey
    display_name: str = ""


TeamView = Callable[Concatenate[HttpRequest, TeamCourse, P], HttpResponseBase]


def course_staff_required(view: TeamView[P]) -> Callable[..., HttpResponseBase]:
    """Pass the course to a view; refuse users who are not its staff, for unknown courses, too.

    Anonymous users are redirected to the login.
    """

    @wraps(view)
    def wrapped(
        request: HttpRequest, course_id: str, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        try:
            course_key = CourseKey.from_string(course_id[: MAX_KEY_LENGTH + 1])
        except (InvalidKeyError, ValueError):
            raise PermissionDenied from None
        if len(course_id) > MAX_KEY_LENGTH or not is_course_staff(request.user, course_key):
            raise PermissionDenied
        return view(request, _course(course_key), *args, **kwargs)

    return login_required(wrapped)


def is_course_staff(user: Any, course_key: CourseKey) -> bool:
    """Return whether COURSE_STAFF_CHECK takes the user as staff of this course."""
    check = import_string(options().COURSE_STAFF_CHECK)
    return bool(user.is_authenticated and user.is_active and check(user, course_key))


def _course(course_key: CourseKey) -> TeamCourse:
    if not options().COURSE_STRUCTURE_BACKEND:
        return TeamCourse(course_key)
    found = course_structures().get(course_key)
    return TeamCourse(course_key, found.display_name if found else "")
