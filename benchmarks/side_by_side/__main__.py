"""Compare xqueue_bridge with edx-submissions and with a trivial view, on one machine, in one run.

    python -m benchmarks.side_by_side --database postgres
    python -m benchmarks.side_by_side --quick

``make benchmark`` installs what this needs. The figures are written as JSON to ``--output``; the
tables are printed. Exits with 1 if a submission was lost, delivered twice to graders or applied
twice, if a valid result was refused, if a status of 500 or more was seen, or if a measurement
failed. Exits with 2 if it was not so, but something was not measured. It judges no time.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import signal
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.plan import PLANS, QUICK, Plan, Run
from benchmarks.side_by_side.report import errors_of, tables, unmeasured_in
from benchmarks.side_by_side.systems import PEER_PYTHON, ROOT, Setting

PORTS = {"postgres": 5432, "mariadb": 3306}
REDIS = "redis://127.0.0.1:6379/9"


def main() -> int:
    wanted = _arguments()
    # Servers and databases are removed when the run is terminated, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    databases = wanted.database or ["sqlite", *(n for n in PORTS if _listens(PORTS[n]))]
    redis = REDIS if _listens(6379) else ""
    if not PEER_PYTHON.exists():
        print(
            "No .venv-peer: edx-submissions is left out (make benchmark makes it)", file=sys.stderr
        )
    errors: list[str] = []
    unmeasured: list[str] = []
    results: list[dict[str, Any]] = []
    for database in databases:
        with tempfile.TemporaryDirectory(prefix="xqueue-bridge-benchmark-") as folder:
            setting = Setting(database, Path(folder), redis)
            print(f"{database}:", file=sys.stderr)
            run = Run(setting, _plan(wanted, database, databases), PEER_PYTHON.exists())
            result = {"database": database, **_machine(), **run.execute()}
        path = wanted.output / f"{'quick-' if wanted.quick else ''}{database}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")
        print(tables(result))
        print(f"\n{path}\n")
        results.append(result)
        errors += [f"{database}: {error}" for error in errors_of(result)]
        unmeasured += [f"{database}: not measured: {kind}" for kind in unmeasured_in(result)]
    if wanted.pages:
        from benchmarks.side_by_side import pages

        print(*pages.write(results), sep="\n")
    for line in [*unmeasured, *errors]:
        print(line, file=sys.stderr)
    return 1 if errors else 2 if unmeasured else 0


def _plan(wanted: argparse.Namespace, database: str, databases: list[str]) -> Plan:
    plan, share = PLANS[database]
    plan = QUICK if wanted.quick else plan
    changes: dict[str, Any] = {}
    if wanted.minutes:
        share /= sum(PLANS[name][1] for name in databases)
        changes["budget"] = wanted.minutes * 60 * share
    if wanted.rows and not wanted.quick:
        few = tuple(size for size in plan.sizes if max(size) <= wanted.rows)
        changes.update(sizes=few, peer_rows=min(wanted.rows, plan.peer_rows))
    if wanted.peer_rows:
        changes["peer_rows"] = wanted.peer_rows
    if wanted.profile:
        changes["profile"] = True
    if wanted.rounds:
        changes["rounds"] = wanted.rounds
    if wanted.only:
        changes["only"] = tuple(wanted.only)
    return dataclasses.replace(plan, **changes)


def _machine() -> dict[str, Any]:
    memory = next(
        line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line
    )
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processors": os.cpu_count(),
        "memory_gib": round(int(memory.split()[1]) / 2**20),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "commit": _commit(),
        "began": time.time(),
    }


def _commit() -> str:
    head = ROOT / ".git"
    if head.is_file():  # a worktree
        head = Path(head.read_text().split()[1])
    try:
        ref = (head / "HEAD").read_text().strip()
    except OSError:
        return ""
    name = ref.removeprefix("ref: ")
    for folder in (head, head.parent.parent):
        if (folder / name).exists():
            return (folder / name).read_text()[:9]
    return name[:9]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--database",
        action="append",
        choices=["sqlite", "postgres", "mariadb"],
        help="May be repeated; default: SQLite, and those that listen on loopback.",
    )
    parser.add_argument("--quick", action="store_true", help="Little of everything: a smoke test.")
    parser.add_argument("--minutes", type=float, help="Begin no further kind after this time.")
    parser.add_argument("--rows", type=int, help="Greatest backlog; default: 1,000,000.")
    parser.add_argument("--peer-rows", type=int, help="Of edx-submissions; default: 100,000.")
    parser.add_argument("--rounds", type=int, help="Default: 3; --quick: 1.")
    parser.add_argument(
        "--only", action="append", metavar="KIND",
        help='Measure only this, such as "spike" or "idle polls". May be repeated.',
    )  # fmt: skip
    parser.add_argument(
        "--profile", action="store_true",
        help="At the end, print in which functions the web server spends its time.",
    )  # fmt: skip
    parser.add_argument("--pages", action="store_true", help="Write the figures into docs/.")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "benchmark")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
