"""URLs of a minimal host."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("xqueue_bridge.urls")),
]
