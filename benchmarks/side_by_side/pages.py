"""Write the figures of runs into the documentation: tables as reStructuredText, charts as SVG.

Run as ``python -m benchmarks.side_by_side.pages build/benchmark/*.json``.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.scaling import Load, report
from benchmarks.side_by_side.report import cycle_ratios, tables
from benchmarks.side_by_side.systems import ROOT

FOLDER = ROOT / "docs" / "concepts" / "performance"
NAMES = {"postgres": "PostgreSQL", "mariadb": "MariaDB", "sqlite": "SQLite"}
#: Variant -> its colour, which is distinct for colour-blind readers, too.
COLOURS = {
    "floor": "#bbbbbb",
    "peer": "#ee7733",
    "acknowledged": "#0077bb",
    "applied inline": "#33bbee",
    "applied by the sweeper": "#009988",
    "applied by a Celery worker": "#aa3377",
}
LABELS = {"peer": "edx-submissions", "ours": "xqueue_bridge", "floor": "trivial view"}


def write(results: list[Mapping[str, Any]]) -> list[Path]:
    """Write the included page ``figures.txt`` and the charts; return the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    files, lines = [], []
    for result in sorted(results, key=lambda one: list(NAMES).index(one["database"])):
        lines += _section(result)
        for name, draw in (("cycles", _cycles), ("growth", _growth), ("spike", _spike)):
            if not result.get(name):
                continue
            path = FOLDER / f"{result['database']}-{name}.svg"
            _save(draw(result), path)
            files.append(path)
            lines += [
                "",
                f".. image:: performance/{path.name}",
                f"   :alt: {_alt(name, result)}",
                "",
            ]
    page = FOLDER / "figures.txt"
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [page, *files, *_scaling(results)]


def _scaling(results: list[Mapping[str, Any]]) -> Iterator[Path]:
    """Write what the load of ``docs/concepts/scaling.rst`` needs, by the costs on PostgreSQL."""
    for result in results:
        if result["database"] == "postgres" and {"cycles", "idle polls", "sending"} <= set(result):
            path = FOLDER / "scaling.txt"
            path.write_text(report(result, Load(10_000, 1_000)) + "\n", encoding="utf-8")
            yield path


def _section(result: Mapping[str, Any]) -> Iterator[str]:
    title = NAMES[result["database"]]
    yield from ("", title, "~" * len(title), "", ".. code-block:: text", "")
    for line in tables(result).splitlines():
        yield f"   {line}".rstrip()


def _alt(name: str, result: Mapping[str, Any]) -> str:
    database = NAMES[result["database"]]
    if name == "growth":
        return f"Cycles a second beside a growing number of rows, on {database}"
    if name == "spike":
        return f"Answered and applied submissions during a spike, on {database}"
    best = "; ".join(
        f"{graders} graders: {ratio.median:.1f} times edx-submissions"
        for graders, variants in result["cycles"].items()
        for variant, ratio in cycle_ratios(variants).items()
        if variant == "acknowledged"
    )
    return f"Cycles a second on {database}. Acknowledged, {best}"


def _axes(title: str, x: str, y: str) -> Any:
    import matplotlib

    matplotlib.use("svg")
    # Text stays text, and the same figures give the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "xqueue_bridge"})
    from matplotlib import pyplot

    _, axes = pyplot.subplots(figsize=(7.5, 3.6), layout="constrained")
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _save(axes: Any, path: Path) -> None:
    from matplotlib import pyplot

    axes.figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(axes.figure)


def _cycles(result: Mapping[str, Any]) -> Any:
    """Draw bars of the median, with a line from the slowest to the fastest round."""
    axes = _axes(f"Cycles a second, {NAMES[result['database']]}", "graders", "cycles/s")
    names = [n for n in COLOURS if any(n in found for found in result["cycles"].values())]
    width = 0.8 / len(names)
    for nth, name in enumerate(names):
        # Celery's rate is measured with four graders only.
        at = [n for n, found in enumerate(result["cycles"].values()) if name in found]
        measured = [found[name] for found in result["cycles"].values() if name in found]
        rates = [[one["rate"] for one in rounds] for rounds in measured]
        middle = [statistics.median(each) for each in rates]
        ends = [
            [m - min(each) for m, each in zip(middle, rates, strict=True)],
            [max(each) - m for m, each in zip(middle, rates, strict=True)],
        ]
        axes.bar(
            [n + (nth - len(names) / 2 + 0.5) * width for n in at],
            middle, width * 0.95, yerr=ends, ecolor="#555555",
            color=COLOURS[name], label=LABELS.get(name, name),
        )  # fmt: skip
    axes.set_xticks(range(len(result["cycles"])), list(result["cycles"]))
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def _growth(result: Mapping[str, Any]) -> Any:
    title = f"Cycles a second of 4 graders beside other rows, {NAMES[result['database']]}"
    axes = _axes(title, "rows", "cycles/s")
    axes.set_xscale("log")
    for name, points in result["growth"].items():
        colour = COLOURS["peer" if name == "peer" else "acknowledged"]
        first = points[0]
        for kind, other, style in (("pending", "finished", "-o"), ("finished", "pending", "--s")):
            some = [
                first,
                *(p for p in points[1:] if p[kind] > first[kind] and p[other] <= first[other]),
            ]
            axes.plot(
                [max(point[kind], first["pending"]) for point in some],
                [point["rate"] for point in some],
                style, color=colour, label=f"{LABELS.get(name, name)}, {kind}",
            )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def _spike(result: Mapping[str, Any]) -> Any:
    one = next(iter(result["spike"].values()))
    title = f"{one['sent']:,} answers in {one['send_seconds']:.0f} s, {NAMES[result['database']]}"
    axes = _axes(title, "seconds", "age of the oldest waiting submission, s")
    for name, spike in result["spike"].items():
        axes.plot(
            [point["second"] for point in spike["points"]],
            [point["oldest_seconds"] for point in spike["points"]],
            color=COLOURS.get(name, "#000000"), label=LABELS.get(name, "xqueue_bridge"),
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    return axes


def main(paths: list[str]) -> None:
    for path in write([json.loads(Path(each).read_text(encoding="utf-8")) for each in paths]):
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
