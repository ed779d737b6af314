"""The tests' settings, with another database and the benchmarks' tables."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks"]

_database = DATABASES["default"]
_database.setdefault("TEST", {})
if _database["ENGINE"].endswith("sqlite3"):
    _database["TEST"]["NAME"] = f"{_database['NAME']}.benchmark"
else:
    _database["TEST"]["NAME"] = f"xqueue_bridge_benchmark_{os.getpid()}"
# A child process uses the database that its parent has created.
if made := os.environ.get("XQUEUE_BRIDGE_BENCHMARK_DB"):
    _database["NAME"] = made
