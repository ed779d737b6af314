"""URL patterns of the pages about grades, of learners and of course teams, below ``xqueue/``."""

from django.urls import re_path

from xqueue_bridge.views.course_team.problems import problem, problems, problems_csv
from xqueue_bridge.views.course_team.regrades import (
    new_regrade,
    regrade,
    regrade_csv,
    regrades,
    regrades_csv,
)
from xqueue_bridge.views.course_team.stuck import stuck, stuck_csv
from xqueue_bridge.views.course_team.submission import submission
from xqueue_bridge.views.course_team.submissions import submissions, submissions_csv
from xqueue_bridge.views.gradebook import gradebook, gradebook_csv
from xqueue_bridge.views.learner.status import status_json
from xqueue_bridge.views.learner.submissions import (
    my_submission,
    my_submissions,
    my_submissions_csv,
)
from xqueue_bridge.views.override import override
from xqueue_bridge.views.progress import progress
from xqueue_bridge.views.tests_csv import tests_csv

#: Deprecated keys have slashes between their three parts.
COURSE = r"grades/(?P<course_id>[^/+]+[/+][^/+]+[/+][^/]+)"
TEAM = r"courses/(?P<course_id>[^/+]+[/+][^/+]+[/+][^/]+)"
LEARNER = r"(?P<user_id>[0-9]{1,18})"

NUMBER = r"(?P<submission_id>[0-9]{1,18})"
REGRADE = r"(?P<regrade_id>[0-9]{1,18})"

urlpatterns = [
    re_path(rf"^{COURSE}/progress/$", progress, name="progress"),
    re_path(rf"^{COURSE}/progress/{LEARNER}/$", progress, name="progress"),
    re_path(rf"^{COURSE}/gradebook/$", gradebook, name="gradebook"),
    re_path(rf"^{COURSE}/gradebook\.csv$", gradebook_csv, name="gradebook_csv"),
    re_path(rf"^{COURSE}/tests\.csv$", tests_csv, name="tests_csv"),
    re_path(rf"^{COURSE}/override/{LEARNER}/(?P<usage_id>.+)/$", override, name="override"),
    re_path(r"^my/$", my_submissions, name="my_submissions"),
    re_path(r"^my\.csv$", my_submissions_csv, name="my_submissions_csv"),
    re_path(rf"^my/{NUMBER}/$", my_submission, name="my_submission"),
    re_path(r"^my/status/(?P<usage_id>.+)/$", status_json, name="learner_status"),
    re_path(rf"^{TEAM}/submissions/$", submissions, name="submissions"),
    re_path(rf"^{TEAM}/submissions\.csv$", submissions_csv, name="submissions_csv"),
    re_path(rf"^{TEAM}/submissions/{NUMBER}/$", submission, name="submission"),
    re_path(rf"^{TEAM}/regrades/$", regrades, name="regrades"),
    re_path(rf"^{TEAM}/regrades\.csv$", regrades_csv, name="regrades_csv"),
    re_path(rf"^{TEAM}/regrades/new/$", new_regrade, name="new_regrade"),
    re_path(rf"^{TEAM}/regrades/{REGRADE}/$", regrade, name="regrade"),
    re_path(rf"^{TEAM}/regrades/{REGRADE}\.csv$", regrade_csv, name="regrade_csv"),
    re_path(rf"^{TEAM}/stuck/$", stuck, name="stuck"),
    re_path(rf"^{TEAM}/stuck\.csv$", stuck_csv, name="stuck_csv"),
    re_path(rf"^{TEAM}/problems/$", problems, name="problems"),
    re_path(rf"^{TEAM}/problems\.csv$", problems_csv, name="problems_csv"),
    re_path(rf"^{TEAM}/problems/(?P<usage_id>.+)/$", problem, name="problem_statistics"),
]
