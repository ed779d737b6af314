"""Run an unchanged xqueue-watcher, installed outside of this repository, as a process.

``XQUEUE_WATCHER`` is the path of its command. Only its configuration and a grader class are ours.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = os.environ.get("XQUEUE_WATCHER", "")

GRADER = '''
from xqueue_watcher.grader import Grader


class PrintGrader(Grader):
    """Compares the answer with the one that is right."""

    def grade(self, grader_path, grader_config, student_response):
        right = student_response.strip() == "print(42)"
        tests = [("It prints 42", "", right, "42", student_response)]
        return {"correct": right, "score": float(right), "errors": [], "tests": tests}
'''


@contextmanager
def stock_watcher(folder: Path, server: str, secret: str, queue: str = "python") -> Iterator[None]:
    """Grade the queue's submissions until the ``with`` block ends; its log is in ``folder``."""
    (folder / "conf.d").mkdir()
    (folder / "print_grader.py").write_text(GRADER)
    client = {
        "SERVER": server,
        "CONNECTIONS": 1,
        "AUTH": ["watcher", secret],
        "HANDLERS": [
            {
                "HANDLER": "print_grader.PrintGrader",
                "KWARGS": {"grader_root": str(folder), "fork_per_item": False},
            }
        ],
    }
    (folder / "conf.d" / "queue.json").write_text(json.dumps({queue: client}))
    (folder / "xqwatcher.json").write_text(json.dumps({"REQUESTS_TIMEOUT": 30}))
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}
    with (folder / "watcher.log").open("wb") as log:
        process = subprocess.Popen(
            [COMMAND, "-d", str(folder)],
            cwd=folder,
            env=variables,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
