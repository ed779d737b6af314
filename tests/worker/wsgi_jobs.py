"""A WSGI application whose requests leave a job, which ends when a file exists."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import django

django.setup()

from xqueue_bridge.worker.enqueue import run_later  # noqa: E402

FOLDER = Path(os.environ["JOBS_FOLDER"])


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Leave a job, and respond with the number of the process."""
    run_later([job])
    content = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(content)))])
    return [content]


def job() -> None:
    """Write a line with process and thread, as soon as the file ``go`` exists."""
    while not (FOLDER / "go").exists():
        time.sleep(0.02)
    with (FOLDER / "done").open("a") as done:
        done.write(f"{os.getpid()} {threading.get_native_id()}\n")


if __name__ == "__main__":
    import sys

    from django.core.servers.basehttp import run

    run("127.0.0.1", int(sys.argv[1]), application, threading=True)  # as manage.py runserver
