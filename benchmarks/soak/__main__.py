"""Submissions, failing graders, resets, course edits and retirements at once; then the invariants.

    python -m benchmarks.soak --database postgres --minutes 30

Exits with 1 if an invariant does not hold, if a grader saw a status of 500 or more, or if the
memory of a process grew. A run of 30 minutes belongs before a release.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.command import argument_parser, set_up

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 120
DRAIN_SECONDS = 300
#: Allowed growth of a process's memory from the second quarter of a run to the last.
MEMORY_GROWTH = 1.25


def main() -> int:
    wanted = _arguments()
    set_up(wanted.database, "benchmarks.soak.settings")
    from benchmarks.database import a_database

    with a_database() as database, tempfile.TemporaryDirectory(prefix="soak-") as folder:
        os.environ["XQUEUE_BRIDGE_BENCHMARK_DB"] = str(database)
        return _run(wanted, Path(folder))


def _run(wanted: argparse.Namespace, folder: Path) -> int:
    from benchmarks.soak.invariants import is_drained, violations
    from benchmarks.soak.world import make_world

    secret = make_world(wanted.learners)
    url = f"http://127.0.0.1:{_free_port()}"
    with Processes(folder, url, secret) as processes:
        memory = _watch(processes, wanted.minutes * 60)
        (folder / "drain").touch()
        deadline = time.monotonic() + DRAIN_SECONDS
        while not is_drained() and time.monotonic() < deadline:
            time.sleep(1)
    found = [*violations(folder), *_bad_responses(folder), *_growth(memory)]
    for path in sorted(folder.glob("*.json")):
        print(f"{path.stem}: {json.loads(path.read_text())}")
    print("\n".join(found) or "every invariant holds")
    return 1 if found else 0


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
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> dict[str, subprocess.Popen[bytes]]:
        for name, command in self.commands.items():
            output = (self.folder / f"{name}.log").open("w")
            self.processes[name] = subprocess.Popen(  # noqa: S603 (our own commands)
                [sys.executable, *command], cwd=ROOT, stdout=output, stderr=output
            )
            if name == "web":
                _wait_for(self.folder / "ready-web-1")
        for name in self.commands:
            if name != "sweeper":
                role, _, seed = name.partition(" ")
                _wait_for(self.folder / f"ready-{role}-{seed or 1}")
        return self.processes

    def __exit__(self, *exc: object) -> None:
        (self.folder / "stop").touch()
        self.processes["sweeper"].terminate()
        for name, process in self.processes.items():
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


def _watch(processes: dict[str, subprocess.Popen[bytes]], seconds: float) -> dict[str, list[int]]:
    """Return the memory of each process, in KiB, read a hundred times during the run."""
    memory: dict[str, list[int]] = {name: [] for name in processes}
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(max(1, seconds / 100))
        for name, process in processes.items():
            if process.poll() is not None:
                raise SystemExit(f"{name} has ended with {process.returncode}")
            memory[name].append(_resident_kib(process.pid))
    return memory


def _resident_kib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _growth(memory: Mapping[str, Sequence[int]]) -> list[str]:
    found = []
    for name, sizes in memory.items():
        quarter = len(sizes) // 4
        if not quarter:
            continue
        before = statistics.median(sizes[quarter : 2 * quarter])
        after = statistics.median(sizes[-quarter:])
        print(f"memory of {name}: {before / 1024:.0f} -> {after / 1024:.0f} MiB")
        if after > before * MEMORY_GROWTH:
            found.append(f"the memory of {name} grew by {after / before:.2f}")
    return found


def _bad_responses(folder: Path) -> list[str]:
    counts: Counter[str] = Counter()
    for path in folder.glob("grader-*.json"):
        counts.update(json.loads(path.read_text()))
    return [f"{n} times {name}" for name, n in counts.items() if name.startswith("status 5")]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__, "postgres")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--learners", type=int, default=300)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
