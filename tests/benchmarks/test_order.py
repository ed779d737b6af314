"""The benchmark of a queue's order runs with the tests' settings."""

from __future__ import annotations

import pytest

from benchmarks.order import report

pytestmark = pytest.mark.django_db(transaction=True)  # MariaDB commits before ANALYZE


def test_each_operation_is_timed_in_each_queue(capsys):
    found = report([20, 40], repeats=2)
    assert [len(times) for times in found.values()] == [2, 2, 2]
    assert all(each > 0 for times in found.values() for each in times)
    printed = capsys.readouterr().out
    assert "xqueue_bridge_work" in printed
    assert "pull that finds none" in printed
