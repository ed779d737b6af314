"""Pickup by watchers at the web processes and at the gateway, and thousands that wait.

python -m benchmarks.gateway --database postgres
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.command import argument_parser
from benchmarks.side_by_side.__main__ import REDIS
from benchmarks.side_by_side.figures import quantile
from benchmarks.side_by_side.systems import (
    ROOT,
    START_SECONDS,
    BenchmarkError,
    Process,
    Setting,
    System,
    _listens,
    free_port,
)

#: Answers a second while thousands wait.
RATE = 5.0


class Gateway(Process):
    """The gateway of a system, with the interface of its web server."""

    def __init__(self, system: System) -> None:
        self.port = free_port()
        command = ["manage.py", "xqueue_bridge_gateway", "--port", str(self.port)]
        super().__init__("gateway", system, command, system.environment)
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.port):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise BenchmarkError(f"no gateway:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (each for each in status.splitlines() if each.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


class Watchers:
    """A process of watchers."""

    def __init__(self, system: System, port: int, number: int, folder: str) -> None:
        self._stop = Path(folder) / f"stop-{time.monotonic_ns()}"
        task = {"port": port, "watchers": number, "stop_file": str(self._stop), **system.account}
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "benchmarks.gateway.watchers", json.dumps(task)],
            cwd=ROOT, text=True, stdout=subprocess.PIPE,
        )  # fmt: skip

    def result(self) -> dict[str, Any]:
        self._stop.touch()
        output, _ = self._process.communicate(timeout=120)
        found: dict[str, Any] = json.loads(output)
        return found


def waits(sent: list[tuple[int, float]], found: dict[str, Any]) -> list[float]:
    """Return the milliseconds from storage to the grader.

    A watcher whose timeout ends while it is given a submission loses its lease, at any server: its
    submission is delivered again after the run. No other one may be missing.
    """
    times = Counter(number for number, _ in found["pulled"])
    twice = [number for number, count in times.items() if count > 1]
    missing = [number for number, _ in sent if number not in times]
    if twice or len(missing) > found["counts"].get("timeouts", 0):
        raise SystemExit(f"twice: {twice}; missing: {missing}; requests: {found['counts']}")
    if missing:
        print(f"  {len(missing)} leases lost by {found['counts']['timeouts']} timeouts of watchers")
    at = dict(found["pulled"])
    return [(at[number] - stored) * 1000 for number, stored in sent if number in at]


def pickup(system: System, port: int, watchers: int, seconds: float, folder: str) -> list[float]:
    """Send answers at a distance that meets every phase of a poll."""
    system.command("clear")
    running = Watchers(system, port, watchers, folder)
    time.sleep(3)
    number = max(int(seconds / 0.73), 5)
    sent = system.command("send", number=number, body_bytes=2048, per_second=number / seconds)
    time.sleep(3)
    return waits(sent, running.result())


def thousands(system: System, gateway: Gateway, watchers: int, seconds: float, folder: str) -> None:
    """Let ``watchers`` wait, then send answers; print what the gateway needs."""
    system.command("clear")
    print(f"\ngateway with no grader: {gateway.resident_mib():.0f} MiB")
    running = Watchers(system, gateway.port, watchers, folder)
    time.sleep(40)
    began, used = time.monotonic(), gateway.cpu_seconds()
    time.sleep(seconds)
    share = (gateway.cpu_seconds() - used) / (time.monotonic() - began)
    print(f"{watchers} watchers wait: {gateway.resident_mib():.0f} MiB, {share:.0%} of a processor")
    number = int(seconds * RATE)
    sent = system.command("send", number=number, body_bytes=2048, per_second=RATE)
    time.sleep(3)
    found = running.result()
    pauses = waits(sent, found)
    print(f"{number} answers: {figures(pauses)}")
    print(f"requests: {found['counts']}")


def figures(pauses: list[float]) -> str:
    """Return median, 95th percentile and maximum of milliseconds."""
    if not pauses:
        return "none was pulled"
    middle, most = quantile(pauses, 0.5), quantile(pauses, 0.95)
    return f"p50 {middle:.0f} ms, p95 {most:.0f} ms, max {max(pauses):.0f} ms"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--few", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--watchers", type=int, default=2000)
    parser.add_argument("--redis", action="store_true", help="Announce over Redis.")
    chosen = parser.parse_args()
    # A worker that does not run: replies are stored only.
    os.environ.update(BENCHMARK_GATEWAY="1", BENCHMARK_TASK_RUNNER="celery")
    if chosen.redis:
        os.environ["BENCHMARK_GATEWAY_REDIS"] = REDIS
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(chosen.database, Path(folder), "")
        with System("ours", setting) as system:
            web = system.serve("web")
            with Gateway(system) as gateway:
                announced = ", announced over Redis" if chosen.redis else ""
                print(f"{chosen.database}{announced}, load before {os.getloadavg()[0]:.1f}")
                for watchers in chosen.few:
                    found: dict[str, list[float]] = {"web": [], "gateway": []}
                    for _ in range(chosen.rounds):
                        for name, port in (("web", web.port), ("gateway", gateway.port)):
                            found[name] += pickup(system, port, watchers, chosen.seconds, folder)
                    for name, pauses in found.items():
                        print(
                            f"{watchers} watchers, {name}: {len(pauses)} answers, {figures(pauses)}"
                        )
                thousands(system, gateway, chosen.watchers, chosen.seconds, folder)


if __name__ == "__main__":
    main()
