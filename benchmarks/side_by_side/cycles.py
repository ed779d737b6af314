"""Measurement of cycles: one pull and one result each, until the queue is empty."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from benchmarks.side_by_side.cpu import cpu_seconds, machine_seconds
from benchmarks.side_by_side.figures import quantile
from benchmarks.side_by_side.systems import BenchmarkError, Process, Server

#: Seconds within which all replies of a measurement must be applied.
APPLY_SECONDS = 300


@dataclass
class Variant:
    """One way to run a system: a web server, and possibly a process that applies replies."""

    name: str
    server: Server
    #: Command of the process that applies replies while and after the graders work.
    worker: list[str] | None = None
    #: Whether the time ends when every reply is applied, or with the last response.
    until_applied: bool = False
    body_bytes: int = 2048
    #: Cycles a second of the last measurement, from which the next number is chosen.
    rate: float = 40.0

    def running_worker(self) -> AbstractContextManager[Process | None]:
        """Return the worker, running inside the block."""
        if self.worker is None:
            return nullcontext()
        system = self.server.system
        env = {**system.environment, "BENCHMARK_TASK_RUNNER": "celery"}
        return Process(f"{self.name}-worker", system, self.worker, env)


def measure(
    variant: Variant,
    graders: int,
    seconds: float,
    database: int | None,
    *,
    fill: bool = True,
    counts: bool = True,
) -> dict[str, Any]:
    """Let graders answer about ``seconds`` worth of submissions; return rates, CPU and errors.

    With ``fill`` the tables are emptied before. Each submission must be answered once; with
    ``counts`` off that is not compared, because other processes remove answered ones.
    """
    system = variant.server.system
    number = max(2 * graders, int(variant.rate * seconds))
    before: dict[str, Any] = {}
    with variant.running_worker() as worker:
        if worker is not None:
            _wait_until_ready(variant)
        if fill:
            system.command("clear")
            system.command("fill", number=number, body_bytes=variant.body_bytes)
        else:
            system.command("fill", number=number, body_bytes=256, waits=False)
            before = system.command("counts")
        started = _cpu(variant, worker, database)
        # The floor has no queue that could become empty.
        cycles = -(-number // graders) if system.name == "floor" or not fill else 10_000_000
        found = variant.server.run_graders(graders=graders, cycles=cycles)
        elapsed = found["seconds"]
        if variant.until_applied:
            _wait_until_applied(variant)
            elapsed = max(elapsed, time.time() - found["began_at"])
        used = {
            part: ended - started[part] for part, ended in _cpu(variant, worker, database).items()
        }
    variant.rate = found["cycles"] / elapsed
    return {
        "graders": graders,
        "cycles": found["cycles"],
        "rate": variant.rate,
        "cpu_ms": {part: used[part] * 1000 / max(found["cycles"], 1) for part in used},
        "pull_ms": _times(found["pull_ms"]),
        "put_ms": _times(found["put_ms"]),
        "errors": _errors(variant, found, number if fill else None, before if counts else None),
    }


def _cpu(variant: Variant, worker: Process | None, database: int | None) -> dict[str, float]:
    return {
        "server": variant.server.cpu_seconds(),
        "database": cpu_seconds(database),
        "worker": worker.cpu_seconds() if worker else 0.0,
        "machine": machine_seconds(),
    }


def _wait_until_ready(variant: Variant) -> None:
    """Wait until the worker has applied one reply, so that its start is not measured."""
    system = variant.server.system
    system.command("clear")
    system.command("fill", number=1, body_bytes=16)
    variant.server.run_graders()
    _wait_until_applied(variant)


def _wait_until_applied(variant: Variant) -> None:
    deadline = time.monotonic() + APPLY_SECONDS
    while variant.server.system.command("unfinished"):
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{variant.name}: replies are not applied in {APPLY_SECONDS} s")
        time.sleep(0.05)


def _times(values: list[float]) -> dict[str, float]:
    return {"p50": quantile(values, 0.5), "p95": quantile(values, 0.95)}


def _errors(
    variant: Variant, found: dict[str, Any], filled: int | None, before: dict[str, Any] | None
) -> dict[str, int]:
    """Return the numbers of what must not happen: a submission lost, delivered or applied twice."""
    ids = [number for number, _at in found["pulled"]]
    errors = {
        "status 5xx": sum(n for status, n in found["statuses"].items() if status[0] == "5"),
        "valid results refused": sum(
            n for message, n in found["refused"].items() if not message.startswith("pull")
        ),
    }
    if variant.server.system.name == "floor":
        return errors
    counts = variant.server.system.command("counts")
    errors["delivered twice"] = len(ids) - len(set(ids))
    errors["applied twice"] = counts["twice"]
    if filled is not None:
        errors["lost"] = filled - counts["answered"]
    elif before is not None:
        errors["lost"] = found["cycles"] - (counts["answered"] - before["answered"])
    if variant.until_applied:
        errors["not applied"] = counts["answered"] - counts["applied"]
    return errors
