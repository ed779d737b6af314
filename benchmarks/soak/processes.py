"""The processes of a run, some of which are killed and started again."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 120
#: Processes that are killed with SIGKILL in a run with kills.
KILLED = ("web", "sweeper", "grader 1", "grader 2", "grader 3")


class Processes:
    """The processes of a run; they end when the block does."""

    def __init__(self, folder: Path, url: str, secret: str) -> None:
        actors = ["-m", "benchmarks.soak.actors"]
        self.folder = folder
        self.commands: dict[str, list[str]] = {
            "web": [*actors, "web", str(folder), "1", url],
            "staff": [*actors, "staff", str(folder), "1"],
            "sweeper": ["manage.py", "xqueue_bridge_sweep", "--forever", "--interval", "1"],
        }
        for number in "12":
            self.commands[f"learner {number}"] = [*actors, "learner", str(folder), number]
        for number in "123":
            self.commands[f"grader {number}"] = [
                *actors, "grader", str(folder), number, url, secret,
            ]  # fmt: skip
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills: Counter[str] = Counter()

    def __enter__(self) -> Self:
        for name in self.commands:
            self._start(name)
            if name == "web":
                _wait_for(self.folder / "ready-web-1")
        for name in self.commands:
            if not name.startswith("sweeper"):
                role, _, seed = name.partition(" ")
                _wait_for(self.folder / f"ready-{role}-{seed or 1}")
        return self

    def kill_one(self) -> None:
        """Kill a process as an operating system does that is out of memory, and start it again."""
        self.kill(random.choice(KILLED))  # noqa: S311

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait(timeout=60)
        self.kills[name] += 1
        self._start(name)

    def _start(self, name: str) -> None:
        command = list(self.commands[name])
        if self.kills[name] and name.startswith("grader"):
            command[4] += f"-{self.kills[name]}"  # the seed, which also names the file of counts
        output = (self.folder / f"{name}.log").open("a")
        self.running[name] = subprocess.Popen(  # noqa: S603 (our own commands)
            [sys.executable, *command], cwd=ROOT, stdout=output, stderr=output
        )

    def __exit__(self, *exc: object) -> None:
        (self.folder / "stop").touch()
        for name, process in self.running.items():
            if name.startswith("sweeper"):
                process.terminate()
        for name, process in self.running.items():
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                print(f"{name} did not stop", file=sys.stderr)
            if process.returncode:
                print((self.folder / f"{name}.log").read_text()[-2000:], file=sys.stderr)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"{path.name} was not written: a process did not start")
        time.sleep(0.2)
