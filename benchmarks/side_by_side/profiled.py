"""Profile of a web server's requests, one at a time; for ``--profile``, after everything else.

The thread that applies replies is not in it, and the profiler itself slows each call down: only the
shares mean something.
"""

from __future__ import annotations

import atexit
import cProfile
import io
import os
import pstats
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Functions that the profile lists.
LINES = 30

Application = Callable[[Any, Any], Any]


def profiled(application: Application, folder: str) -> Application:
    """Return the application; when the process ends, the profile of its requests is written."""
    profile, lock = cProfile.Profile(time.process_time), threading.Lock()

    def one_at_a_time(environ: Any, start_response: Any) -> Any:
        with lock:
            return profile.runcall(application, environ, start_response)

    @atexit.register
    def write() -> None:
        if profile.getstats():  # the process that only starts the workers has none
            profile.dump_stats(Path(folder) / f"{os.getpid()}.profile")

    return one_at_a_time


def top(folder: Path) -> Iterator[str]:
    """Yield the lines of the functions that took most of the CPU time, with what they called."""
    found = sorted(folder.glob("*.profile"))
    output = io.StringIO()
    stats = pstats.Stats(*map(str, found), stream=output)
    stats.strip_dirs().sort_stats("cumulative").print_stats(LINES)
    yield from (line for line in output.getvalue().splitlines() if line.strip())
