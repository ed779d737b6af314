"""Settings of edx-submissions, in an environment of its own."""

from benchmarks.side_by_side.host import *  # noqa: F403
from benchmarks.side_by_side.host import DATABASES, INSTALLED_APPS, KIND

INSTALLED_APPS = [*INSTALLED_APPS, "rest_framework", "submissions"]
ROOT_URLCONF = "benchmarks.side_by_side.urls_peer"
if KIND == "mariadb":
    # Its migration 0006 changes columns that foreign keys use, which MariaDB refuses. Without
    # migrations, Django creates all tables as the models describe them.
    DATABASES["default"]["TEST"]["MIGRATE"] = False
