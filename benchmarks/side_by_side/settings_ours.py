"""Settings of xqueue_bridge."""

import os

from benchmarks.side_by_side.host import *  # noqa: F403
from benchmarks.side_by_side.host import INSTALLED_APPS, NAME, REDIS

INSTALLED_APPS = [*INSTALLED_APPS, "xqueue_bridge"]
ROOT_URLCONF = "benchmarks.side_by_side.urls_ours"

#: "inline": the web process applies a reply after its response. "celery": a worker or sweeper does.
XQUEUE_BRIDGE: dict[str, object] = {
    "TASK_RUNNER": os.environ.get("BENCHMARK_TASK_RUNNER", "inline")
}
if os.environ.get("BENCHMARK_GATEWAY"):
    XQUEUE_BRIDGE["GATEWAY"] = {
        "HOLD_SECONDS": float(os.environ.get("BENCHMARK_HOLD", "30")),
        "REDIS_URL": os.environ.get("BENCHMARK_GATEWAY_REDIS") or None,
    }
CELERY_BROKER_URL = REDIS or "memory://"
CELERY_TASK_DEFAULT_QUEUE = NAME
CELERY_DB_REUSE_MAX = 100
