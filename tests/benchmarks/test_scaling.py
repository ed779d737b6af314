"""The model of what a load needs."""

from __future__ import annotations

import pytest

from benchmarks.scaling import Costs, Load, check, costs_of, needs, report, spike_seconds

COSTS = Costs(
    cycle_web=6, cycle_database=3, apply_worker=4, apply_database=3, cycle_machine=18, poll=2,
    send=2, processors=2,
)  # fmt: skip


def measured(**cpu_ms: float) -> list[dict[str, object]]:
    return [{"cpu_ms": {"server": 6, "database": 3, "worker": 0, "machine": 9, **cpu_ms}}]


RESULT = {
    "processors": 2,
    "cycles": {
        "4": {},
        "16": {
            "acknowledged": measured(),
            "applied by the sweeper": measured(worker=4, database=6, machine=18),
        },
    },
    "idle polls": {"acknowledged": {"cpu_ms": 2}},
    "sending": {"ours": {"cpu_ms": 2}},
    "spike": {"applied by the sweeper": {"sent": 6_000, "send_seconds": 30, "seconds": 80}},
}


def test_costs_are_those_of_the_most_graders():
    assert costs_of(RESULT) == COSTS


def test_idle_graders_cost_more_than_the_submissions():
    """1,000 graders of which 100 work: 900 polls a second."""
    found = needs(COSTS, Load(per_minute=1_200, graders=1_000))
    assert found.busy_graders == 100
    assert found.idle_polls_per_second == 900
    assert found.polls == pytest.approx(900 * 2 / 1000 / 0.6)
    assert found.web == pytest.approx((20 * 6 + 900 * 2) / 1000 / 0.6)
    assert found.database == pytest.approx(20 * (3 + 3 + 1) / 1000 / 0.6)
    assert found.first == "polls of idle graders"


def test_no_grader_is_idle_when_too_few_are_there():
    found = needs(COSTS, Load(per_minute=60_000, graders=10))
    assert (found.idle_polls_per_second, found.polls) == (0, 0)
    assert found.first == "the database server"


@pytest.mark.parametrize(("number", "seconds"), [(6_000, 60), (100, 30)])
def test_spike_takes_as_long_as_sending_or_as_the_processors_need(number, seconds):
    assert spike_seconds(COSTS, number, 30) == seconds


def test_model_is_compared_with_the_measured_spike():
    assert check(RESULT) == (60, 80)
    assert "took 80 s; the model says 60 s (0.75)" in report(RESULT, Load(1_200, 1_000))
    assert check({**RESULT, "spike": {}}) is None
