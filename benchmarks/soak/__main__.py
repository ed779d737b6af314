"""Submissions, failing graders, resets, course edits and retirements at once; then the invariants.

    python -m benchmarks.soak --database postgres --minutes 30

Exits with 1 if an invariant does not hold, if a grader saw a status of 500 or more, or if the
memory of a process grew. With ``--kill-every 5`` processes are killed meanwhile. A run of 30
minutes belongs before a release.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.command import argument_parser, set_up
from benchmarks.soak.processes import KILLED, Processes

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
    url = f"http://127.0.0.1:{free_port()}"
    with Processes(folder, url, secret) as processes:
        memory = _watch(processes, wanted.minutes * 60, wanted.kill_every)
        kills = dict(processes.kills)
        (folder / "drain").touch()
        # On a loaded machine graders get behind, and need up to the time of the run again.
        deadline = time.monotonic() + DRAIN_SECONDS + wanted.minutes * 60
        while not is_drained() and time.monotonic() < deadline:
            time.sleep(1)
    found = [*violations(folder), *_bad_responses(folder), *_growth(memory)]
    for path in sorted(folder.glob("*.json")):
        print(f"{path.stem}: {json.loads(path.read_text())}")
    print(f"killed: {kills or 'none'}")
    print("\n".join(found) or "every invariant holds")
    return 1 if found else 0


def _watch(processes: Processes, seconds: float, kill_every: float) -> dict[str, list[int]]:
    """Return the memory of each process, in KiB, read a hundred times during the run.

    With ``kill_every``, a process is killed after each such number of seconds, and the memory of
    those that can be killed is not returned.
    """
    names = [name for name in processes.running if not (kill_every and name in KILLED)]
    memory: dict[str, list[int]] = {name: [] for name in names}
    ends = time.monotonic() + seconds
    next_kill = time.monotonic() + kill_every
    while time.monotonic() < ends:
        time.sleep(min(kill_every or seconds, max(1, seconds / 100)))
        if kill_every and time.monotonic() >= next_kill:
            processes.kill_one()
            next_kill = time.monotonic() + kill_every
        for name, process in processes.running.items():
            if process.poll() is not None:
                raise SystemExit(f"{name} has ended with {process.returncode}")
            if name in memory:
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
    bad = {
        name: n
        for name, n in counts.items()
        if name.startswith(("status 5", "valid result refused"))
    }
    return [f"{n} times {name}" for name, n in bad.items()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__, "postgres")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--learners", type=int, default=300)
    parser.add_argument(
        "--kill-every",
        type=float,
        default=0,
        metavar="SECONDS",
        help="Kill the web server, the sweeper or a grader so often, and start it again.",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
