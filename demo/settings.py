"""Settings of the demo, as an example for host projects."""

import os
from importlib.util import find_spec
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

if find_spec("xblocks_contrib") is None:
    raise ImproperlyConfigured("Run `make demo`, or install the extra: pip install -e '.[demo]'")

HERE = Path(__file__).parent

#: The folder of all files that the demo writes.
VAR = Path(os.environ.get("XQUEUE_BRIDGE_DEMO_VAR", HERE / "var")).resolve()
VAR.mkdir(parents=True, exist_ok=True)


def _secret_key() -> str:
    """Return this folder's secret key; the first call creates it, also with concurrent starts."""
    path = VAR / "secret_key"
    if not path.exists():
        draft = VAR / f"secret_key.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(get_random_secret_key(), encoding="utf-8")
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8")


# -- what the bridge needs of a host ---------------------------------------------------------

#: URL of this site for learners; callback URLs begin with it.
LMS_ROOT_URL = os.environ.get("XQUEUE_BRIDGE_DEMO_URL", "http://127.0.0.1:8800")
#: Capa's queue keys of two answers differ after one second.
XQUEUE_WAITTIME_BETWEEN_REQUESTS = 1

XQUEUE_BRIDGE = {
    "QUEUES": {
        "demo": {"LEASE_SECONDS": 60},
        # Of the week of history (demo/week.py): a grader that needs long, and one that fails.
        "slow": {"LEASE_SECONDS": 120},
        "failing": {"MAX_DELIVERIES": 3},
    },
    "REJECT_UNKNOWN_QUEUES": True,
    "REPLY_BACKEND": "state",
    "BLOCK_LOADER": "demo.runtime.load_block",
    "DESCRIBE_PROBLEM": "demo.runtime.describe_problem",
    # An answer that cannot be sent costs the learner no attempt.
    "SEND_ERROR_CLASS": "xblocks_contrib.problem.capa.responsetypes.ResponseError",
}

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    # Learners' files: below var, and below no URL.
    "xqueue_bridge": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(VAR / "files")},
    },
}


def _database(name: str) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(VAR / f"{name}.sqlite3"),
        "OPTIONS": {
            "timeout": 30,
            # A writing transaction takes the lock at its beginning, and waits instead of failing
            # later. Readers do not block it.
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


DATABASES = {"default": _database("demo")}

# make demo ARGS="--two-databases" sets this: history is stored in another database.
if os.environ.get("XQUEUE_BRIDGE_DEMO_TWO_DATABASES"):
    DATABASES["history"] = _database("history")
    DATABASE_ROUTERS = ["xqueue_bridge.learner_state.history.router.HistoryRouter"]
    XQUEUE_BRIDGE |= {
        "HISTORY_DATABASE": "history",
        "HISTORY_EXTENDED": True,
        "HISTORY_READ_BOTH": True,
    }

# -- what the problem block needs of a host --------------------------------------------------

#: A problem's own Python script runs in a child process.
ENABLE_CODEJAIL_REST_SERVICE = True
CODE_JAIL_REST_SERVICE_REMOTE_EXEC = "demo.code_jail.run_script"
#: No telemetry back ends: capa's dependencies would look for New Relic.
OPENEDX_TELEMETRY: list[str] = []

# -- an ordinary Django project --------------------------------------------------------------

SECRET_KEY = _secret_key()
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ROOT_URLCONF = "demo.urls"
STATIC_URL = "/static/"
STATICFILES_DIRS = [HERE / "static"]
LOGIN_URL = "choose"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CSRF_COOKIE_SAMESITE = SESSION_COOKIE_SAMESITE = "Lax"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "xblocks_contrib.problem.capa",
    "xqueue_bridge",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "demo.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # A request that saves a problem's state and its score leaves one entry in its history.
    "xqueue_bridge.learner_state.history.middleware.history_batch_middleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [HERE / "templates"],
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
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {
        "file": {
            "class": "logging.FileHandler",
            "filename": str(VAR / "demo.log"),
            "formatter": "plain",
            "delay": True,
        },
        "console": {"class": "logging.StreamHandler", "level": "WARNING"},
    },
    "root": {"handlers": ["file"], "level": "INFO"},
    "loggers": {
        "django.server": {"handlers": ["file"], "propagate": False},
        "xqueue_bridge": {"handlers": ["file", "console"], "propagate": False},
    },
}
