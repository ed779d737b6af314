"""Settings that all systems of the comparison have; each has a module that adds its own.

The environment names the database (``BENCHMARK_DATABASE``, ``BENCHMARK_NAME``) and, if there is
one, the Redis server (``BENCHMARK_REDIS``).
"""

import os
from typing import Any

KIND = os.environ.get("BENCHMARK_DATABASE", "sqlite")
#: The name of the database, of the cache's keys and of the Celery queue.
NAME = os.environ.get("BENCHMARK_NAME", "xqueue_bridge_benchmark")
REDIS = os.environ.get("BENCHMARK_REDIS", "")

# The tests' settings prepare the driver of this database.
os.environ["XQUEUE_BRIDGE_TEST_DB"] = KIND
from tests.settings import DATABASE_CHOICES  # noqa: E402

SECRET_KEY = "only for benchmarks"  # noqa: S105
USE_TZ = True
DEBUG = False
ALLOWED_HOSTS = ["*"]
LMS_ROOT_URL = "http://lms.example.com"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_chosen: dict[str, Any] = DATABASE_CHOICES[KIND]
DATABASES = {
    "default": {
        **_chosen,
        "NAME": NAME,
        "TEST": {**_chosen.get("TEST", {}), "NAME": NAME},
        # Django's default, 0, opens a connection in each request.
        "CONN_MAX_AGE": 600,
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS,
        "KEY_PREFIX": NAME,
    }
    if REDIS
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
