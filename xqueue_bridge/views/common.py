"""What the pages about grades have in common: who may look, at what, and how numbers look."""

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
#: Learners whose names are read by one statement: less than any database's limit on parameters.
BATCH = 500

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True, slots=True)
class Learner:
    """Whose grades they are; ``username`` is "" for an account that is gone."""

    user_id: int
    username: str
    full_name: str

    @property
    def name(self) -> str:
        """What people call them, as far as it is known."""
        return self.full_name or self.username or f"user {self.user_id}"


def signed_in(view: View) -> View:
    """Send strangers to the host's login; what the view shows is never stored by a browser."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_active:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return never_cache(wrapped)


def staff_only(view: View) -> View:
    """Refuse everybody but staff of the host."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_staff(request):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return signed_in(wrapped)


def reader_id(request: HttpRequest) -> int:
    """Return the id of whoever is signed in."""
    user_id = request.user.pk
    if user_id is None:
        raise PermissionDenied
    return user_id


def is_staff(request: HttpRequest) -> bool:
    """Return whether somebody who is signed in is of the host's staff."""
    return bool(getattr(request.user, "is_staff", False))


def course_or_404(course_id: str) -> Course:
    """Return the course that an address names."""
    if len(course_id) <= LONGEST_KEY and options().COURSE_STRUCTURE_BACKEND:
        try:
            course = course_structures().get(CourseKey.from_string(course_id))
        except (InvalidKeyError, ValueError):
            course = None
        if course is not None:
            return course
    raise Http404("No course of that key is graded here.")


def learner_or_404(user_id: int) -> Learner:
    """Return the learner that an address names."""
    user = get_user_model().objects.filter(pk=user_id).first()
    if user is None:
        raise Http404("There is nobody of that number.")
    return _learner(user)


def learners_by_id(user_ids: Collection[int]) -> list[Learner]:
    """Return who has these ids, in their order; one statement for each ``BATCH``."""
    ids = list(user_ids)
    found: dict[int, Learner] = {}
    for start in range(0, len(ids), BATCH):
        for user in get_user_model().objects.filter(pk__in=ids[start : start + BATCH]):
            found[user.pk] = _learner(user)
    return [found.get(each) or Learner(each, "", "") for each in ids]


def _learner(user: Any) -> Learner:
    return Learner(user.pk, user.get_username(), getattr(user, "get_full_name", str)())


def points(value: float) -> str:
    """Return points with at most two digits after the point: 3, 2.5, 0.67."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def percents(share: float) -> str:
    """Return a share of 0..1 in percents with at most one digit after the point: 59.5."""
    return f"{share * 100:.1f}".removesuffix(".0")
