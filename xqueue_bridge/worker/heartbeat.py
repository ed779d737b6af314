"""Heartbeats: whether a background process runs, as another process sees it.

They are in the database, because the default cache is a process's own.
"""

from __future__ import annotations

import time
from datetime import datetime

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.merge import upsert
from xqueue_bridge.worker.models import Heartbeat

SWEEPER = "sweeper"
#: Seconds between two writes of one process.
INTERVAL = 10.0

_recorded: dict[str, float] = {}


def record(name: str) -> None:
    """Write that this kind of process runs: one statement, none within INTERVAL of the last."""
    now = time.monotonic()
    if now - _recorded.get(name, -INTERVAL) < INTERVAL:
        return
    upsert([Heartbeat(name=name, seen_at=database_now())], key=("name",), fields=("seen_at",))
    _recorded[name] = now


def last_seen(name: str) -> datetime | None:
    """Return when a process of this kind last recorded its heartbeat; one statement."""
    return Heartbeat.objects.filter(pk=name).values_list("seen_at", flat=True).first()
