"""URL patterns with a callback view that is not the bridge's, as in an LMS."""

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, re_path

from xqueue_bridge.lms.callback_url import PATTERN


def xqueue_callback(request: HttpRequest, **kwargs: str) -> HttpResponse:
    raise Http404


urlpatterns = [re_path(f"^{PATTERN}$", xqueue_callback), re_path("", include("xqueue_bridge.urls"))]
