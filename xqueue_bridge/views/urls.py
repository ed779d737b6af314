"""URL patterns of the grade pages, below ``xqueue/``."""

from django.urls import re_path

from xqueue_bridge.views.gradebook import gradebook, gradebook_csv
from xqueue_bridge.views.override import override
from xqueue_bridge.views.progress import progress
from xqueue_bridge.views.tests_csv import tests_csv

#: Deprecated keys have slashes between their three parts.
COURSE = r"grades/(?P<course_id>[^/+]+[/+][^/+]+[/+][^/]+)"
LEARNER = r"(?P<user_id>[0-9]{1,18})"

urlpatterns = [
    re_path(rf"^{COURSE}/progress/$", progress, name="progress"),
    re_path(rf"^{COURSE}/progress/{LEARNER}/$", progress, name="progress"),
    re_path(rf"^{COURSE}/gradebook/$", gradebook, name="gradebook"),
    re_path(rf"^{COURSE}/gradebook\.csv$", gradebook_csv, name="gradebook_csv"),
    re_path(rf"^{COURSE}/tests\.csv$", tests_csv, name="tests_csv"),
    re_path(rf"^{COURSE}/override/{LEARNER}/(?P<usage_id>.+)/$", override, name="override"),
]
