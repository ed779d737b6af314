"""Settings of a process that renders no problem: without capa it starts much faster."""

from tests import settings
from tests.settings import *  # noqa: F403

INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "xblocks_contrib.problem.capa"]
