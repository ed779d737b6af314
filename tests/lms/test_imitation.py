"""Runs the tests of the imitation of an LMS in a process with its settings and modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
IMITATION = ROOT / "tests" / "lms" / "imitation"


@pytest.mark.database
def test_each_way_in() -> None:
    """C28: plug-in, loopback and a site's own assignment, from the page to the grade."""
    paths = [str(IMITATION / "tree"), str(ROOT)]
    named = f"imitation_{os.getpid()}"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-n", "0"),
            *("-c", str(IMITATION / "pytest.ini"), "--rootdir", str(ROOT)),
            *("--confcutdir", str(IMITATION), str(IMITATION / "test_ways.py")),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "DJANGO_SETTINGS_MODULE": "lms.envs.test",
            "XQUEUE_BRIDGE_TEST_NAME": named,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "12 passed" in done.stdout
