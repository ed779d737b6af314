"""Access control, look-ups and number formats that the grade pages share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.course_structure.store import course_structures

LONGEST_KEY = 255
#: Learners whose names one statement reads; below every database's limit on parameters.
BATCH = 500

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True, slots=True)
class Learner:
    """A learner on a grade page; ``username`` is "" for a deleted account."""

    user_id: int
    username: str
    full_name: str

    @property
    def name(self) -> str:
        """The full name or username, or a text with the id if neither is known."""
        return self.full_name or self.username or f"user {self.user_id}"


def signed_in(view: View) -> View:
    """Redirect anonymous users to the host's login; forbid browsers to store the page."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_active:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return never_cache(wrapped)


def staff_only(view: View) -> View:
    """Refuse users who are not staff of the host."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_staff(request):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return signed_in(wrapped)


def reader_id(request: HttpRequest) -> int:
    """Return the id of the logged-in user."""
    user_id = request.user.pk
    if user_id is None:
        raise PermissionDenied
    return user_id


def is_staff(request: HttpRequest) -> bool:
    """Return whether the user is logged in and staff of the host."""
    return bool(getattr(request.user, "is_staff", False))


def course_or_404(course_id: str) -> Course:
    """Return the course that a URL names, or raise Http404."""
    if len(course_id) <= LONGEST_KEY and options().COURSE_STRUCTURE_BACKEND:
        try:
            course = course_structures().get(CourseKey.from_string(course_id))
        except (InvalidKeyError, ValueError):
            course = None
        if course is not None:
            return course
    raise Http404("No course of that key is graded here.")


def learner_or_404(user_id: int) -> Learner:
    """Return the learner that a URL names, or raise Http404."""
    user = get_user_model().objects.filter(pk=user_id).first()
    if user is None:
        raise Http404("There is nobody of that number.")
    return _learner(user)


def learners_by_id(user_ids: Collection[int]) -> list[Learner]:
    """Return the learners with these ids, in their order; one statement for each ``BATCH``."""
    ids = list(user_ids)
    found: dict[int, Learner] = {}
    for start in range(0, len(ids), BATCH):
        for user in get_user_model().objects.filter(pk__in=ids[start : start + BATCH]):
            found[user.pk] = _learner(user)
    return [found.get(each) or Learner(each, "", "") for each in ids]


def _learner(user: Any) -> Learner:
    return Learner(user.pk, user.get_username(), getattr(user, "get_full_name", str)())


def points(value: float) -> str:
    """Format points with at most two decimal places: 3, 2.5, 0.67."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def percents(share: float) -> str:
    """Format a share of 0..1 as percent with at most one decimal place: 59.5."""
    return f"{share * 100:.1f}".removesuffix(".0")
