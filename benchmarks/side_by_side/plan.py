"""What one run measures on one database, and in which order."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks.side_by_side import modes
from benchmarks.side_by_side.cycles import Variant, measure
from benchmarks.side_by_side.profiled import top
from benchmarks.side_by_side.systems import BenchmarkError, Setting, System

SWEEPER = ["manage.py", "xqueue_bridge_sweep", "--forever", "--interval", "0.1"]
CELERY = [
    "-m", "celery", "-A", "benchmarks.side_by_side.celery_app", "worker",
    "--concurrency", "2", "--loglevel", "ERROR", "--without-gossip", "--without-mingle",
]  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How much is measured. ``seconds`` is the length of one measurement."""

    seconds: float = 3.0
    rounds: int = 3
    graders: tuple[int, ...] = (1, 4, 16)
    #: (pending, finished) rows beside which cycles are measured.
    sizes: tuple[tuple[int, int], ...] = (
        (1_000, 0), (100_000, 0), (1_000, 100_000), (100_000, 100_000), (1_000, 1_000_000),
        (1_000_000, 0),
    )  # fmt: skip
    #: The peer is measured up to this number of rows.
    peer_rows: int = 100_000
    pickups: int = 20
    pickup_seconds: float = 20.0
    spike: int = 10_000
    spike_seconds: float = 60.0
    sends: int = 300
    #: Finished rows that are pruned while cycles are measured.
    prune: int = 60_000
    #: Seconds after which no further kind of measurement begins.
    budget: float = 900.0
    #: Whether the server's requests are profiled at the end.
    profile: bool = False
    #: The kinds of measurement; empty: all.
    only: tuple[str, ...] = ()


#: Plan and share of the time for each database.
PLANS: dict[str, tuple[Plan, float]] = {
    "postgres": (Plan(), 0.5),
    "mariadb": (Plan(rounds=2, graders=(4, 16)), 0.33),
    "sqlite": (
        Plan(
            rounds=2, graders=(4, 16), sizes=((1_000, 0), (100_000, 0), (1_000, 100_000)),
            spike=1_000, spike_seconds=20.0,
        ),
        0.17,
    ),
}  # fmt: skip
QUICK = Plan(
    seconds=0.3, rounds=1, graders=(4,), sizes=((100, 0), (2_000, 0), (100, 2_000)),
    pickups=3, pickup_seconds=3.0, spike=100, spike_seconds=2.0, sends=20, prune=1_000, budget=60.0,
)  # fmt: skip


@dataclass
class Run:
    """A run on one database; ``found`` has the figures by kind of measurement."""

    setting: Setting
    plan: Plan
    has_peer: bool
    found: dict[str, Any] = field(default_factory=dict)
    variants: dict[str, Variant] = field(default_factory=dict)
    systems: dict[str, System] = field(default_factory=dict)
    database: int | None = None

    def execute(self) -> dict[str, Any]:
        """Measure everything that the budget allows; return the figures."""
        began = time.monotonic()
        with ExitStack() as stack:
            self._start(stack)
            for name, kind in self._kinds():
                elapsed = time.monotonic() - began
                if elapsed > self.plan.budget:
                    self.found.setdefault("left out", []).append(name)
                    continue
                print(f"  {elapsed:4.0f} s  {name}", file=sys.stderr, flush=True)
                try:
                    self.found[name] = kind()
                except BenchmarkError as exc:
                    self.found.setdefault("failed", {})[name] = str(exc).splitlines()[0]
                    print(f"        failed: {exc}", file=sys.stderr)
            ours = self.systems["ours"]
            self.found["server"] = ours.command("server_version")
        self.found["seconds"] = time.monotonic() - began
        return self.found

    def _start(self, stack: ExitStack) -> None:
        names = ("ours", "peer", "floor") if self.has_peer else ("ours", "floor")
        for name in names:
            self.systems[name] = stack.enter_context(System(name, self.setting))
        ours = self.systems["ours"]
        self.database = ours.database_process()
        stored = ours.serve("acknowledged", BENCHMARK_TASK_RUNNER="celery")
        self.variants = {
            "acknowledged": Variant("acknowledged", stored),
            "applied inline": Variant(
                "applied inline", ours.serve("inline", BENCHMARK_TASK_RUNNER="inline"),
                until_applied=True,
            ),
            "applied by the sweeper": Variant(
                "applied by the sweeper", stored, worker=SWEEPER, until_applied=True
            ),
        }  # fmt: skip
        if self.setting.redis:
            self.variants["applied by a Celery worker"] = Variant(
                "applied by a Celery worker", stored, worker=CELERY, until_applied=True
            )
        for name in names[1:]:
            self.variants[name] = Variant(name, self.systems[name].serve("web"))

    def _kinds(self) -> Iterator[tuple[str, Any]]:
        kinds = {
            "cycles": self._cycles,
            "idle polls": self._idle,
            "sending": self._sending,
            "growth": self._growth,
            "pruning": self._pruning,
            "pickup": self._pickup,
            "spike": self._spike,
        }
        for name in self.plan.only or kinds:
            yield name, kinds[name]
        if self.plan.profile:
            yield "profile", self._profile

    def _cycles(self) -> dict[str, Any]:
        """All variants one after the other in each round, each round in another order."""
        for variant in self.variants.values():  # warms up, and finds the rate
            variant.rate = 20.0
            measure(variant, 4, self.plan.seconds / 2, self.database)
        found: dict[str, dict[str, list[Any]]] = {}
        for graders in self.plan.graders:
            for number in range(self.plan.rounds):
                # Celery's rate hardly depends on the number of graders.
                names = [n for n in self.variants if "Celery" not in n or graders == 4]
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    one = measure(self.variants[name], graders, self.plan.seconds, self.database)
                    found.setdefault(str(graders), {}).setdefault(name, []).append(one)
        return found

    def _idle(self) -> dict[str, Any]:
        return self._interleaved(
            ["acknowledged", *self._others()],
            lambda name: modes.idle_polls(
                self.variants[name], self.plan.seconds / 2, self.database
            ),
        )

    def _sending(self) -> dict[str, Any]:
        names = [name for name in self.systems if name != "floor"]
        return self._interleaved(
            names, lambda name: modes.sending(self.systems[name], self.plan.sends, self.database)
        )

    def _interleaved(self, names: list[str], kind: Any) -> dict[str, Any]:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(self.plan.rounds):
            for name in names:
                found[name].append(kind(name))
        return {
            name: {
                "rounds": each,
                **{key: statistics.median(one[key] for one in each) for key in each[0]},
            }
            for name, each in found.items()
        }

    def _others(self) -> list[str]:
        return [name for name in self.systems if name != "ours"]

    def _growth(self) -> dict[str, Any]:
        few = [size for size in self.plan.sizes if max(size) <= self.plan.peer_rows]
        sizes = {"ours": self.plan.sizes, "peer": few}
        variants = [
            self.variants[name] for name in ("acknowledged", "peer") if name in self.variants
        ]
        return modes.growth(
            variants, sizes, self.plan.seconds, self.plan.rounds, self.database
        )  # fmt: skip

    def _pruning(self) -> dict[str, Any]:
        plan, stored = self.plan, self.variants["acknowledged"]
        return modes.pruning(stored, plan.prune, plan.seconds / 2, plan.rounds, self.database)

    def _pickup(self) -> dict[str, Any]:
        names = [name for name in ("acknowledged", "peer") if name in self.variants]
        return {
            name: modes.pickup(self.variants[name], self.plan.pickups, self.plan.pickup_seconds)
            for name in names
        }

    def _profile(self) -> list[str]:
        """Profile acknowledged cycles of one grader, at a server that is used for nothing else."""
        folder = self.setting.folder / "profiles"
        folder.mkdir()
        environment = {"BENCHMARK_TASK_RUNNER": "celery", "BENCHMARK_PROFILE": str(folder)}
        server = self.systems["ours"].serve("profiled", **environment)
        measure(Variant("profiled", server), 1, self.plan.seconds, self.database)
        server.stop()
        return list(top(folder))

    def _spike(self) -> dict[str, Any]:
        name, plan = "applied by the sweeper", self.plan
        return {name: modes.spike(self.variants[name], plan.spike, plan.spike_seconds)}
