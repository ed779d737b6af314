"""A host whose clock differs from the database's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

TEN_MINUTES = timedelta(minutes=10)


@contextmanager
def host_clock_off(offset: timedelta) -> Iterator[None]:
    """Change this process's clock, and not the database's.

    SQLite's is the process's, so it is changed back, as if the database had a server.
    """
    with time_machine.travel(timezone.now() + offset), pytest.MonkeyPatch.context() as patch:
        if connection.vendor == "sqlite":
            right = SimpleNamespace(now=lambda: timezone.now() - offset)
            patch.setattr("xqueue_bridge.db.clock.timezone", right)
        patch.setattr("xqueue_bridge.db.clock._compared", None)
        yield
