"""URLs of edx-submissions, where its graders expect them."""

from django.urls import include, path

urlpatterns = [path("xqueue/", include("submissions.urls"))]
