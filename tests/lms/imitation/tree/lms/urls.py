"""The URLs of an LMS that meet the bridge's, in the platform's order."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from edx_django_utils.plugins import get_plugin_url_patterns

from lms.djangoapps.courseware.block_render import handle_xblock_callback, xqueue_callback


def edx_submissions(request: HttpRequest) -> HttpResponse:
    """Stand for the views of edx-submissions, which come after those of plugins."""
    return HttpResponse("edx-submissions")


COURSE = r"(?P<course_id>[^/+]+(/|\+)[^/+]+(/|\+)[^/?]+)"

urlpatterns = [
    re_path(
        rf"^courses/{COURSE}/xqueue/(?P<userid>[^/]*)/(?P<mod_id>.*?)/(?P<dispatch>[^/]*)$",
        xqueue_callback,
        name="xqueue_callback",
    ),
    re_path(
        rf"^courses/{COURSE}/xblock/(?P<usage_id>[^/]+)/handler/(?P<handler>[^/]*)/(?P<suffix>.*)$",
        handle_xblock_callback,
        name="xblock_handler",
    ),
    path("admin/", admin.site.urls),
    *get_plugin_url_patterns("lms.djangoapp"),
    path("xqueue/", include([path("<path:rest>", lambda request, rest: edx_submissions(request))])),
]
