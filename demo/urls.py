"""The demo's addresses: a learner's pages here, the bridge's below /xqueue/ and /courses/."""

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
    # A demo on one machine needs no web server before it: Django finds the files itself.
    path("static/<path:path>", serve, {"insecure": True}),
    # Browsers ask for it on pages that name no icon, such as the admin's.
    path("favicon.ico", RedirectView.as_view(url="/static/demo/icon.svg")),
    path("admin/", admin.site.urls),
    path("", include("xqueue_bridge.urls")),
]
