"""Settings of the floor: the least that a Django REST framework view with a session does."""

from benchmarks.side_by_side.host import *  # noqa: F403
from benchmarks.side_by_side.host import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "rest_framework"]
ROOT_URLCONF = "benchmarks.side_by_side.urls_floor"
