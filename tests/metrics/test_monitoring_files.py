"""The alert rules and the dashboard in contrib/, and the page: they name metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from xqueue_bridge.metrics import exposition

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = re.compile(r"\bxqueue_bridge_[a-z_]+\b")
#: The files that name metrics, and what else they name.
FILES = {
    "contrib/prometheus/alerts.yml": {"xqueue_bridge_grader", "xqueue_bridge_sweep"},
    "contrib/prometheus/alerts_test.yml": {"xqueue_bridge_grader", "xqueue_bridge_sweep"},
    "contrib/grafana/xqueue_bridge.json": set(),
}
OTHERS = {"work_overdue", "drain_seconds", "sweeper_seconds", "sample_age_seconds"}


def metric_names() -> set[str]:
    gauges = {name for name, _, _ in exposition.GAUGES} | OTHERS
    counters = {f"{name}_total" for name, _, _ in exposition.COUNTERS}
    return {exposition.PREFIX + name for name in gauges | counters}


@pytest.mark.parametrize("file", FILES)
def test_files_name_metrics_that_exist(file) -> None:
    named = set(NAME.findall((ROOT / file).read_text(encoding="utf-8")))
    assert named - FILES[file]
    assert named - FILES[file] <= metric_names()


def test_page_names_every_metric() -> None:
    page = (ROOT / "docs/how-tos/monitor_queues.rst").read_text(encoding="utf-8")
    table = set(re.findall(r"^``(xqueue_bridge_[a-z_]+)[`{]", page, re.MULTILINE))
    assert table == metric_names()


def test_dashboard_has_a_title_and_a_query_in_each_panel() -> None:
    dashboard = json.loads((ROOT / "contrib/grafana/xqueue_bridge.json").read_text("utf-8"))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) == 8
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert all(target["expr"] for target in panel["targets"])


@pytest.mark.django_db
def test_exposition_has_every_metric_and_no_other() -> None:
    """Those of the sweeper and the samples have no value before the first sweep."""
    text = exposition.exposition("")[0].decode()
    exposed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    of_values = {exposition.PREFIX + name for name in ("sweeper_seconds", "sample_age_seconds")}
    assert exposed | of_values == metric_names()
