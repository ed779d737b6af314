"""URLs of the demo: the learner's pages, and the bridge's below /xqueue/ and /courses/."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path
from django.views.generic import RedirectView

from demo import views

urlpatterns = [
    path("", views.home, name="home"),
    path("choose/", views.choose, name="choose"),
    path("leave/", views.leave, name="leave"),
    path("problems/<slug:url_name>/", views.problem, name="problem"),
    path("problems/<slug:url_name>/status", views.status, name="status"),
    # The demo has no web server in front of it, so Django serves the static files.
    path("static/<path:path>", serve, {"insecure": True}),
    # Browsers request it for pages without an icon, such as the admin's.
    path("favicon.ico", RedirectView.as_view(url="/static/demo/icon.svg")),
    path("admin/", admin.site.urls),
    path("", include("xqueue_bridge.urls")),
]
