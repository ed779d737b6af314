"""The tables of a run, with ratios, targets and errors."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.side_by_side.figures import Ratio, ratio

#: Cycles a second relative to edx-submissions; the floor: share of it.
TARGETS = {"acknowledged": 3.0, "applied": 2.0, "floor": 0.75, "growth": 1.2}


def tables(result: Mapping[str, Any]) -> str:
    """Return all tables of a run as text."""
    head = (
        f"{result['database']} ({result['server']}), {result['processors']} processors, "
        f"{result['memory_gib']} GiB, Python {result['python']}, commit {result['commit']}, "
        f"{result['seconds']:.0f} s, load {result['load_before']:.1f} before the run"
    )
    parts = [
        [head],
        list(_cycles(result.get("cycles", {}))),
        list(_idle(result.get("idle polls", {}))),
        list(_sending(result.get("sending", {}))),
        list(_growth(result.get("growth", {}))),
        list(_pruning(result.get("pruning", {}))),
        list(_pickup(result.get("pickup", {}))),
        list(_spike(result.get("spike", {}))),
        list(result.get("profile", [])),
        [f"left out: {', '.join(result['left out'])}"] if "left out" in result else [],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def unmeasured_in(result: Mapping[str, Any]) -> list[str]:
    """Return what a busy machine had no time for: its figures are missing, or mean nothing."""
    found = list(result.get("left out", []))
    for name, one in result.get("pickup", {}).items():
        if one["picked up"] < one["sent"]:
            found.append(f"pickup, {name} ({one['picked up']:.0f} of {one['sent']:.0f})")
    for name, one in result.get("idle polls", {}).items():
        if not one["rate"]:
            found.append(f"idle polls, {name}")
    return found


def errors_of(result: Mapping[str, Any]) -> list[str]:
    """Return the errors of our own system: what must not happen at any speed."""
    found = [f"{kind}: {error}" for kind, error in result.get("failed", {}).items()]
    for graders, variants in result.get("cycles", {}).items():
        for name, rounds in variants.items():
            for one in rounds:
                found += _named(f"{name}, {graders} graders", one["errors"])
    for point in result.get("growth", {}).get("ours", []):
        found += _named(f"growth at {point['pending']}/{point['finished']}", point["errors"])
    found += _named("pruning", result.get("pruning", {}).get("errors", {}))
    for name, one in result.get("spike", {}).items():
        found += _named(f"spike, {name}", one["errors"])
    return [error for error in found if "peer" not in error]


def cycle_ratios(variants: Mapping[str, Any]) -> dict[str, Ratio]:
    """Return, for one number of graders, each variant's rate relative to edx-submissions."""
    rates = {name: [one["rate"] for one in rounds] for name, rounds in variants.items()}
    if "peer" not in rates:
        return {}
    return {name: ratio(each, rates["peer"]) for name, each in rates.items() if name != "peer"}


def _named(where: str, errors: Mapping[str, int]) -> list[str]:
    return [f"{where}: {number} {error}" for error, number in errors.items() if number]


def _cycles(cycles: Mapping[str, Any]) -> Iterator[str]:
    if not cycles:
        return
    yield (
        f"{'graders':>7} {'variant':<28}{'cycles/s':>9}{'x peer (min to max)':>24}{'x floor':>9}"
        f"{'CPU-ms: server':>16}{'database':>10}{'worker':>8}{'pull p50/p95 ms':>18}  errors"
    )
    for graders, variants in cycles.items():
        ratios = cycle_ratios(variants)
        floor = [one["rate"] for one in variants["floor"]]
        for name, rounds in variants.items():
            rates = [one["rate"] for one in rounds]
            cpu = {
                part: statistics.median(one["cpu_ms"][part] for one in rounds)
                for part in ("server", "database", "worker")
            }
            pulls = [rounds[0]["pull_ms"][share] for share in ("p50", "p95")]
            errors = {k: v for one in rounds for k, v in one["errors"].items() if v}
            yield (
                f"{graders:>7} {name:<28}{statistics.median(rates):>9.1f}"
                f"{ratios.get(name, '')!s:>24}{ratio(rates, floor).median:>9.2f}"
                f"{cpu['server']:>16.1f}{cpu['database']:>10.1f}{cpu['worker']:>8.1f}"
                f"{pulls[0]:>9.1f}/{pulls[1]:<8.1f}  {errors or ''}"
            )


def _idle(idle: Mapping[str, Any]) -> Iterator[str]:
    if idle:
        yield f"{'idle polls':<20}{'polls/s':>9}{'CPU-ms each':>13}"
        for name, one in idle.items():
            yield f"{name:<20}{one['rate']:>9.1f}{one['cpu_ms']:>13.2f}"


def _sending(sending: Mapping[str, Any]) -> Iterator[str]:
    if sending:
        yield f"{'sending':<20}{'answers/s':>10}{'CPU-ms each':>13}{'statements':>12}"
        for name, one in sending.items():
            yield f"{name:<20}{one['rate']:>10.1f}{one['cpu_ms']:>13.2f}{one['statements']:>12.0f}"


def _growth(growth: Mapping[str, Any]) -> Iterator[str]:
    if not growth:
        return
    yield (
        f"{'growth':<8}{'pending':>10}{'finished':>10}{'cycles/s':>10}{'x of first':>12}"
        f"{'database CPU-ms':>17}{'x of first':>12}{'pull p50 ms':>13}"
    )
    for name, points in growth.items():
        for point in points:
            rate = point["rate"] / points[0]["rate"]
            base = points[0]["database_ms"]
            more = f"{point['database_ms'] / base:.2f}" if base else "-"
            yield (
                f"{name:<8}{point['pending']:>10,}{point['finished']:>10,}{point['rate']:>10.1f}"
                f"{rate:>12.2f}{point['database_ms']:>17.2f}{more:>12}{point['pull_ms']:>13.1f}"
            )


def _pruning(pruning: Mapping[str, Any]) -> Iterator[str]:
    if pruning:
        found = ratio(pruning["beside"], pruning["alone"])
        yield f"cycles/s while old submissions are archived, to without: {found}"


def _pickup(pickup: Mapping[str, Any]) -> Iterator[str]:
    if pickup:
        yield f"{'pickup at a poll of 1 s':<26}{'p50 ms':>8}{'p95 ms':>8}{'of':>6}"
        for name, one in pickup.items():
            yield f"{name:<26}{one['p50']:>8.0f}{one['p95']:>8.0f}{one['picked up']:>6.0f}"


def _spike(spike: Mapping[str, Any]) -> Iterator[str]:
    for name, one in spike.items():
        oldest = max((point["oldest_seconds"] for point in one["points"]), default=0.0)
        errors = {k: v for k, v in one["errors"].items() if v}
        yield (
            f"spike, {name}: {one['sent']:,} answers in {one['send_seconds']:.0f} s, done after "
            f"{one['seconds']:.0f} s, oldest waited {oldest:.0f} s, errors: {errors or 0}"
        )
