"""URLs of xqueue_bridge."""

from django.urls import include, path

urlpatterns = [path("", include("xqueue_bridge.urls"))]
