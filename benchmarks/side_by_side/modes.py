"""The other measurements: idle polls, pickup, sending, growth, and a spike."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.cpu import cpu_seconds
from benchmarks.side_by_side.cycles import Variant, measure
from benchmarks.side_by_side.figures import quantile
from benchmarks.side_by_side.systems import START_SECONDS, BenchmarkError, Process, System

#: Seconds between two polls of xqueue-watcher.
POLL_SECONDS = 1.0
#: Processes that send the answers of a spike.
SENDERS = 3
#: Seconds after the last answer of a spike within which all must be answered and applied.
DRAIN_SECONDS = 300


def idle_polls(variant: Variant, seconds: float, database: int | None) -> dict[str, float]:
    """Poll an empty queue with 4 graders; return polls a second, and CPU-ms of each."""
    variant.server.system.command("clear")
    server, stored = variant.server.cpu_seconds(), cpu_seconds(database)
    found = variant.server.run_graders(graders=4, idle=True, seconds=seconds)
    polls = found["polls"] + len(found["pulled"])  # the floor always has a submission
    used = variant.server.cpu_seconds() - server + cpu_seconds(database) - stored
    return {"rate": polls / found["seconds"], "cpu_ms": used * 1000 / max(polls, 1)}


def sending(system: System, number: int, database: int | None) -> dict[str, float]:
    """Send answers from one process; return their rate, and CPU-ms and statements of each."""
    system.command("clear")
    statements = system.command("send_statements")
    stored, began = cpu_seconds(database), time.perf_counter()
    answer = system.measured_command("send", number=number, body_bytes=2048)
    seconds = time.perf_counter() - began
    used = answer["cpu"] + cpu_seconds(database) - stored
    return {"rate": number / seconds, "cpu_ms": used * 1000 / number, "statements": statements}


def pickup(variant: Variant, number: int, seconds: float, graders: int = 1) -> dict[str, float]:
    """Send ``number`` answers while graders poll; return the time from storage to a grader."""
    system = variant.server.system
    system.command("clear")
    with tempfile.TemporaryDirectory() as folder:
        stop = Path(folder) / "stop"
        running = variant.server.start_graders(
            graders=graders, pause=POLL_SECONDS, stop_file=str(stop)
        )
        time.sleep(1)
        # The distance is no multiple of a poll, so that every phase of it is met.
        sent = system.command("send", number=number, body_bytes=2048, per_second=number / seconds)
        time.sleep(2 * POLL_SECONDS)
        stop.touch()
        found = running.result()
    pulled = dict(found["pulled"])
    waits = [(pulled[number] - at) * 1000 for number, at in sent if number in pulled]
    return {
        "p50": quantile(waits, 0.5),
        "p95": quantile(waits, 0.95),
        "picked up": len(waits),
        "sent": len(sent),
    }


def growth(
    variants: Sequence[Variant],
    sizes: Mapping[str, Sequence[tuple[int, int]]],
    seconds: float,
    rounds: int,
    database: int | None,
) -> dict[str, list[dict[str, Any]]]:
    """Measure cycles of 4 graders beside so many (pending, finished) rows, for each system."""
    found: dict[str, list[dict[str, Any]]] = {}
    for variant in variants:
        system = variant.server.system
        for pending, finished in sizes[system.name]:
            system.command("clear")
            system.command("backlog", pending=pending, finished=finished, body_bytes=256)
            system.command("analyze")
            measure(variant, 4, seconds / 4, database, fill=False)
            each = [
                measure(variant, 4, seconds, database, fill=False)
                for _ in range(rounds)
            ]  # fmt: skip
            point = {
                "pending": pending,
                "finished": finished,
                "rate": statistics.median(one["rate"] for one in each),
                "database_ms": statistics.median(one["cpu_ms"]["database"] for one in each),
                "server_ms": statistics.median(one["cpu_ms"]["server"] for one in each),
                "pull_ms": statistics.median(one["pull_ms"]["p50"] for one in each),
                "errors": _sum(one["errors"] for one in each),
            }
            found.setdefault(system.name, []).append(point)
    return found


def pruning(
    variant: Variant, finished: int, seconds: float, rounds: int, database: int | None
) -> dict[str, Any]:
    """Measure cycles without, and beside ``xqueue_bridge_prune_submissions``, alternately."""
    system = variant.server.system
    system.command("clear")
    system.command("backlog", pending=0, finished=finished, body_bytes=256)
    system.command("analyze")
    command = ["manage.py", "xqueue_bridge_prune_submissions", "--keep-days", "30", "--archive"]
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(measure(variant, 4, seconds, database, fill=False))
        before = system.command("counts")["answered"]
        with Process("prune", system, command, system.environment):
            _wait_for_change(system, before)
            beside.append(measure(variant, 4, seconds, database, fill=False, counts=False))
            left = system.command("counts")["answered"]
    return {
        "alone": [one["rate"] for one in alone],
        "beside": [one["rate"] for one in beside],
        "rows left": left,
        "errors": _sum(one["errors"] for one in [*alone, *beside]),
    }


def _wait_for_change(system: System, answered: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while system.command("counts")["answered"] == answered:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"no submission was removed in {START_SECONDS} s")
        time.sleep(0.05)


def spike(variant: Variant, number: int, seconds: float, graders: int = 16) -> dict[str, Any]:
    """Send ``number`` answers while graders pull, within ``seconds`` if the machine can.

    Return the points, one for each second, and what went wrong. ``send_seconds`` is measured.
    """
    system = variant.server.system
    system.command("clear")
    with tempfile.TemporaryDirectory() as folder, variant.running_worker():
        stop = Path(folder) / "stop"
        running = variant.server.start_graders(graders=graders, pause=0.2, stop_file=str(stop))
        with ExitStack() as stack:
            senders = [stack.enter_context(system.sender(n)) for n in range(SENDERS)]
            shares = [len(range(n, number, SENDERS)) for n in range(SENDERS)]
            for n, (sender, share) in enumerate(zip(senders, shares, strict=True)):
                sender.begin("prepare", number=share, after=n * number)
                sender.end()
            began = time.monotonic()
            for sender, share in zip(senders, shares, strict=True):
                sender.begin("send", number=share, body_bytes=2048, per_second=share / seconds)
            points, answered_in = _follow(system, number, began, seconds)
            sent = [at for sender in senders for _, at in sender.end()["result"]]
        stop.touch()
        found = running.result()
        counts = system.command("counts")
    ids = [each for each, _at in found["pulled"]]
    return {
        "sent": number,
        "send_seconds": max(sent) - min(sent),
        "seconds": answered_in,
        "points": points,
        "errors": {
            "lost": number - counts["answered"],
            "not applied": number - counts["applied"],
            "delivered twice": len(ids) - len(set(ids)),
            "applied twice": counts["twice"],
            "valid results refused": sum(
                n for message, n in found["refused"].items() if not message.startswith("pull")
            ),
            "status 5xx": sum(n for status, n in found["statuses"].items() if status[0] == "5"),
        },
    }


def _follow(
    system: System, number: int, began: float, seconds: float
) -> tuple[list[dict[str, float]], float]:
    """Read the counts each second until all submissions are answered."""
    points: list[dict[str, float]] = []
    while time.monotonic() - began < seconds + DRAIN_SECONDS:
        counts = system.command("counts")
        elapsed = time.monotonic() - began
        points.append(
            {
                "second": elapsed,
                "pending": counts["pending"],
                "answered": counts["answered"],
                "applied": counts["applied"],
                "oldest_seconds": counts["oldest_seconds"],
            }
        )
        if counts["answered"] >= number and counts["applied"] >= number:
            break
        time.sleep(1)
    return points, time.monotonic() - began


def _sum(errors: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in errors:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return total
