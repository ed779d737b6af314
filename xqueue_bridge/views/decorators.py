"""Access control of the HTML pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare
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


def operator_required(view: View[P]) -> View[P]:
    """Redirect as ``login_required`` does; refuse users without the right to act on queues."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not is_operator(request):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return staff_required(wrapped)


def is_operator(request: HttpRequest) -> bool:
    """Return whether the user is staff of the host and may act on queues."""
    user = request.user
    return is_staff(request) and bool(user.has_perm("xqueue_bridge.operate_queues"))


def is_staff(request: HttpRequest) -> bool:
    """Return whether the user is logged in and staff of the host."""
    return bool(getattr(request.user, "is_staff", False))


def has_bearer_token(request: HttpRequest, token: str | None) -> bool:
    """Return whether the request has ``Authorization: Bearer`` with a token that is set."""
    given = request.headers.get("Authorization", "")
    return bool(token) and constant_time_compare(given, f"Bearer {token}")


def token_required(realm: str) -> HttpResponse:
    """Return the response to a request with a wrong token, or with none."""
    response = HttpResponse("Wrong or no token\n", status=401, content_type="text/plain")
    response["WWW-Authenticate"] = f'Bearer realm="{realm}"'
    return response


def current_user_id(request: HttpRequest) -> int:
    """Return the id of the logged-in user. Raises PermissionDenied for an anonymous one."""
    user_id: int | None = request.user.pk
    if user_id is None:
        raise PermissionDenied
    return user_id
