"""The settings of the imitation: an LMS's, as far as they meet the bridge."""

import os
import sys
import tempfile
from pathlib import Path

from edx_django_utils.plugins import add_plugins, get_plugin_apps

from tests.settings import DATABASES as _DATABASES

_TEST_ROOT = Path(tempfile.mkdtemp(prefix="xqueue-bridge-lms-"))

SECRET_KEY = "only for tests"
USE_TZ = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "lms.urls"
STATIC_URL = "/static/"
LMS_ROOT_URL = "http://localhost:8000"
DATA_DIR = str(_TEST_ROOT / "data")
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SESSION_COOKIE_SAMESITE = "None"

XQUEUE_WAITTIME_BETWEEN_REQUESTS = 5
XQUEUE_INTERFACE = {
    "url": "http://localhost:18040",
    "basic_auth": ["edx", "edx"],
    "django_auth": {"username": "lms", "password": "password"},
}
# Celery without a namespace, in its former names.
BROKER_URL = "memory://"
CELERY_ALWAYS_EAGER = True
CELERYBEAT_SCHEDULE: dict = {}
EXPLICIT_QUEUES: dict = {}

TRACKING_IGNORE_URL_PATTERNS = [r"^/event", r"^/login", r"^/heartbeat"]
HEARTBEAT_EXTENDED_CHECKS = ()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "waffle",
    "openedx.core.djangoapps.waffle_utils",
    "lms.djangoapps.courseware",
    "lms.djangoapps.grades",
]
MIDDLEWARE = [
    "crum.CurrentRequestUserMiddleware",
    "edx_django_utils.cache.middleware.RequestCacheMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "common.djangoapps.student.middleware.EmailChangeMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "common.djangoapps.track.middleware.TrackMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "waffle.middleware.WaffleMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
# SQLite has one writer: the learner's request would lock out the submission that it sends.
_is_sqlite = _DATABASES["default"]["ENGINE"].endswith("sqlite3")
DATABASES = {"default": {**_DATABASES["default"], "ATOMIC_REQUESTS": not _is_sqlite}}
# Beside the suite's own databases, whose names are these.
if _is_sqlite:
    DATABASES["default"]["TEST"] = {"NAME": str(_TEST_ROOT / "test.sqlite3")}
else:
    _name = os.environ.get("XQUEUE_BRIDGE_TEST_NAME", "")
    DATABASES["default"]["TEST"] = {
        **DATABASES["default"].get("TEST", {}),
        "NAME": f"test_xqueue_bridge_imitation{_name}",
    }

INSTALLED_APPS.extend(get_plugin_apps("lms.djangoapp"))
add_plugins(__name__, "lms.djangoapp", "common")
# Plain INSTALLED_APPS, for an environment without the entry point.
if not any(app.startswith("xqueue_bridge") for app in INSTALLED_APPS):
    raise RuntimeError(f"xqueue_bridge is not installed as a plugin of {sys.executable}")

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
add_plugins(__name__, "lms.djangoapp", "test")
