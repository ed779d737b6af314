"""Access control of the HTML pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def login_required(view: View[P]) -> View[P]:
    """Redirect anonymous users to the host's login; refuse inactive users; forbid caching.

    Unlike Django's decorator of this name, it refuses inactive users, whom some authentication
    backends keep logged in.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_active:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return never_cache(wrapped)


def staff_required(view: View[P]) -> View[P]:
    """Redirect as ``login_required`` does; refuse users who are not staff of the host."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not is_staff(request):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return login_required(wrapped)


def is_staff(request: HttpRequest) -> bool:
    """Return whether the user is logged in and staff of the host."""
    return bool(getattr(request.user, "is_staff", False))


def current_user_id(request: HttpRequest) -> int:
    """Return the id of the logged-in user. Raises PermissionDenied for an anonymous one."""
    user_id: int | None = request.user.pk
    if user_id is None:
        raise PermissionDenied
    return user_id
