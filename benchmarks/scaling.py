"""Compute what a load needs, from measured costs; check the model with the measured spike.

    python -m benchmarks.scaling build/benchmark/postgres.json --per-minute 10000 --graders 1000

The costs are those of one run of ``make benchmark``. Exits with 1 if the model's time of the
measured spike is not between half and twice the measured one.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Share of a processor that is used on average; the rest is for peaks within a second.
UTILISATION = 0.6
#: Threads of a web process, each with its own connection to the database.
THREADS = 4


@dataclass(frozen=True)
class Costs:
    """Milliseconds of CPU of one operation on the measured machine."""

    #: A pull and a result: of the web server and of the database server.
    cycle_web: float
    cycle_database: float
    #: Applying a reply: of the sweeper, and of the database server for it.
    apply_worker: float
    apply_database: float
    #: Everything on the machine for a cycle with its apply, the graders' own work included.
    cycle_machine: float
    #: A poll of an empty queue, of web and database server.
    poll: float
    #: Sending an answer: of the sending process and the database server.
    send: float
    processors: int


@dataclass(frozen=True)
class Load:
    """Submissions a minute, and the graders that answer them."""

    per_minute: float
    graders: int
    poll_seconds: float = 1.0
    grading_seconds: float = 5.0


@dataclass(frozen=True)
class Needs:
    """Processors that a load needs, and how its graders cope."""

    #: Graders that are grading at any moment; the others poll.
    busy_graders: float
    idle_polls_per_second: float
    web: float
    polls: float
    database: float
    workers: float

    @property
    def first(self) -> str:
        """Return what needs most processors."""
        parts = {
            "polls of idle graders": self.polls,
            "pulls and results": self.web - self.polls,
            "the database server": self.database,
            "applying replies": self.workers,
        }
        return max(parts, key=lambda name: parts[name])


def costs_of(result: Mapping[str, Any]) -> Costs:
    """Return the costs that a run has measured, with the greatest number of graders."""
    variants = result["cycles"][max(result["cycles"], key=int)]

    def median(name: str, part: str) -> float:
        return statistics.median(one["cpu_ms"][part] for one in variants[name])

    stored, applied = "acknowledged", "applied by the sweeper"
    return Costs(
        cycle_web=median(stored, "server"),
        cycle_database=median(stored, "database"),
        apply_worker=median(applied, "worker"),
        apply_database=max(median(applied, "database") - median(stored, "database"), 0.0),
        cycle_machine=median(applied, "machine"),
        poll=result["idle polls"][stored]["cpu_ms"],
        send=result["sending"]["ours"]["cpu_ms"],
        processors=result["processors"],
    )


def needs(costs: Costs, load: Load) -> Needs:
    """Return what a load needs at ``UTILISATION`` of each processor."""
    rate = load.per_minute / 60
    busy = rate * load.grading_seconds
    polls = max(load.graders - busy, 0.0) / load.poll_seconds
    milliseconds = {
        "web": rate * costs.cycle_web + polls * costs.poll,
        "polls": polls * costs.poll,
        "database": rate * (costs.cycle_database + costs.apply_database + costs.send / 2),
        "workers": rate * costs.apply_worker,
    }
    used = {name: each / 1000 / UTILISATION for name, each in milliseconds.items()}
    return Needs(busy_graders=busy, idle_polls_per_second=polls, **used)


def spike_seconds(costs: Costs, number: int, send_seconds: float) -> float:
    """Return how long the measured machine takes to send, grade and apply ``number`` answers."""
    rate = costs.processors * 1000 / (costs.cycle_machine + costs.send)
    return max(send_seconds, number / rate)


def check(result: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the model's and the measured seconds of the spike; None if it was not measured."""
    spike = result.get("spike", {}).get("applied by the sweeper")
    if not spike:
        return None
    seconds = spike_seconds(costs_of(result), spike["sent"], spike["send_seconds"])
    return seconds, spike["seconds"]


def report(result: Mapping[str, Any], load: Load) -> str:
    """Return what the load needs, and the comparison with the spike, as text."""
    costs = costs_of(result)
    found = needs(costs, load)
    processes = math.ceil(found.web) * 2
    lines = [
        f"{load.per_minute:,.0f} submissions a minute, {load.graders:,} graders, a poll each "
        f"{load.poll_seconds:g} s, {load.grading_seconds:g} s of grading:",
        "",
        f"graders at work            {found.busy_graders:8.0f} of {load.graders:,}",
        f"polls of idle graders      {found.idle_polls_per_second:8.0f} a second",
        f"processors: web            {found.web:8.1f}, {found.polls:.1f} of them for idle polls",
        f"processors: database       {found.database:8.1f}",
        f"processors: apply replies  {found.workers:8.1f}",
        f"database connections       {processes * THREADS + 2 * math.ceil(found.workers):8}",
        f"the greatest of these      {found.first}",
    ]
    if "date" in result:
        lines += [
            "",
            f"Costs: {result['database']}, {result['date'][:10]}, commit {result['commit']}, "
            f"{result['processors']} processors, load {result['load_before']:.1f} before the run.",
        ]
    compared = check(result)
    if compared is not None:
        model, measured = compared
        lines += [
            "",
            f"The measured spike took {measured:.0f} s; the model says {model:.0f} s "
            f"({model / measured:.2f}).",
        ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("result", type=Path, help="JSON of make benchmark.")
    parser.add_argument("--per-minute", type=float, default=10_000)
    parser.add_argument("--graders", type=int, default=1_000)
    parser.add_argument("--poll-seconds", type=float, default=1.0)
    parser.add_argument("--grading-seconds", type=float, default=5.0)
    wanted = parser.parse_args()
    result = json.loads(wanted.result.read_text(encoding="utf-8"))
    load = Load(wanted.per_minute, wanted.graders, wanted.poll_seconds, wanted.grading_seconds)
    print(report(result, load))
    compared = check(result)
    return 0 if compared is None or 0.5 <= compared[0] / compared[1] <= 2 else 1


if __name__ == "__main__":
    sys.exit(main())
