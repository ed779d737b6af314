"""Settings of a minimal host; XQUEUE_BRIDGE_TEST_DB chooses the database."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

SECRET_KEY = "only for tests"
USE_TZ = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "/static/"
LMS_ROOT_URL = "http://lms.example.com"
XQUEUE_WAITTIME_BETWEEN_REQUESTS = 5
# Runs the Python scripts of the demo course's problems.
ENABLE_CODEJAIL_REST_SERVICE = True
CODE_JAIL_REST_SERVICE_REMOTE_EXEC = "demo.code_jail.run_script"
# nltk, which the problem block's chemistry imports, does without scipy; a fifth of each start.
sys.modules.setdefault("scipy", None)  # type: ignore[arg-type]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "xblocks_contrib.problem.capa",
    "xqueue_bridge",
]
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_URL = "admin:login"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_scratch = Path(tempfile.mkdtemp(prefix="xqueue-bridge-tests-"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "xqueue_bridge": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(_scratch / "files")},
    },
}

DATABASE_CHOICES: dict[str, dict[str, Any]] = {
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(_scratch / "db.sqlite3"),
        # A file, because concurrency tests open it from several threads and processes.
        "TEST": {"NAME": str(_scratch / "test.sqlite3")},
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            # OFF, because no test needs what a power failure would leave.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
        },
    },
    "postgres": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "xqueue_bridge",
        "USER": "postgres",
        "HOST": "127.0.0.1",
        # As above; the processes that tests kill are clients.
        "OPTIONS": {"options": "-c synchronous_commit=off"},
    },
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "xqueue_bridge",
        "USER": "root",
        "HOST": "127.0.0.1",
        "OPTIONS": {"charset": "utf8mb4"},
        # As in an LMS.
        "TEST": {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_general_ci"},
    },
}
# Two concurrent runs on one server need databases of different names.
if name := os.environ.get("XQUEUE_BRIDGE_TEST_NAME"):
    for choice in ("postgres", "mariadb"):
        DATABASE_CHOICES[choice].setdefault("TEST", {})["NAME"] = f"test_xqueue_bridge_{name}"
# Submissions are imported from it.
INSTALLED_APPS.append("tests.edx_submissions_app.EdxSubmissionsConfig")
if os.environ.get("XQUEUE_BRIDGE_TEST_DB") == "mariadb":
    # Its migration 0006 fails there.
    MIGRATION_MODULES = {"submissions": "tests.edx_submissions_migrations"}
_choice = DATABASE_CHOICES[os.environ.get("XQUEUE_BRIDGE_TEST_DB", "sqlite")]
_test_name = _choice.get("TEST", {}).get("NAME", f"test_{_choice['NAME']}")
DATABASES = {
    "default": _choice,
    # A second database on the same server, for history; tests that use it name it.
    "history": {
        **_choice,
        "NAME": f"{_choice['NAME']}_history",
        "TEST": {**_choice.get("TEST", {}), "NAME": f"{_test_name}_history", "MIGRATE": False},
    },
}
DATABASE_ROUTERS = [
    "tests.history_database.OnlyHistory",
    "xqueue_bridge.learner_state.history.router.HistoryRouter",
]

if DATABASES["default"]["ENGINE"].endswith("mysql"):
    import pymysql

    # Django requires mysqlclient's version number; PyMySQL needs no compiler and no headers.
    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()
