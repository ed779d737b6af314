"""The parts of the benchmark that compute: ratios, CPU accounting, errors, copies of rows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.side_by_side.__main__ import main as benchmark
from benchmarks.side_by_side.cpu import cpu_seconds, process_of_thread, root_of, thread_seconds
from benchmarks.side_by_side.figures import quantile, ratio
from benchmarks.side_by_side.plan import Run
from benchmarks.side_by_side.report import errors_of, tables, unmeasured_in
from benchmarks.side_by_side.stores.ours import OurStore
from xqueue_bridge.models import ReceivedReply, Submission, SubmissionContent

WORK = "import time\nwhile time.process_time() < 0.3: pass\n"
#: A process whose child works and ends, before it waits for its input.
PARENT = (
    f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {WORK!r}])\nprint()\ninput()"
)


def test_ratio_compares_each_round_with_the_same_round():
    found = ratio([10, 30, 20], [10, 10, 10])
    assert (found.median, found.smallest, found.greatest) == (2, 1, 3)


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.95, 4), (0.0, 1)])
def test_quantile_is_one_of_the_values(share, value):
    assert quantile([4, 1, 3, 2], share) == value
    assert quantile([], share) == 0


def test_cpu_of_ended_children_is_counted():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert cpu_seconds(parent.pid) >= 0.3
        parent.communicate(b"\n")
    assert cpu_seconds(parent.pid) == 0
    assert cpu_seconds(None) == 0


def test_root_is_the_outermost_process_of_that_name():
    assert root_of(os.getpid(), ("no such name",)) is None
    assert root_of(2**22 + 1, ("python",)) is None
    assert process_of_thread(os.getpid()) == os.getpid()
    assert process_of_thread(2**22 + 1) is None


def test_cpu_of_a_thread_has_that_of_no_other_thread():
    before, whole = thread_seconds(threading.get_native_id()), time.process_time()
    worker = threading.Thread(target=lambda: sum(range(10**7)))
    worker.start()
    worker.join()
    assert time.process_time() - whole >= 0.1
    assert thread_seconds(threading.get_native_id()) - before < 0.1
    assert thread_seconds(None) == 0


def measured(**errors: int) -> dict[str, object]:
    return {
        "rate": 10.0,
        "cpu_ms": {"server": 1.0, "database": 1.0, "worker": 0.0},
        "pull_ms": {"p50": 1.0, "p95": 2.0},
        "errors": errors,
    }


def test_errors_are_those_of_our_system():
    result = {
        "cycles": {"4": {"peer": [measured(lost=2)], "acknowledged": [measured(lost=1)]}},
        "failed": {"sending": "it has ended"},
    }
    assert errors_of(result) == ["sending: it has ended", "acknowledged, 4 graders: 1 lost"]


def test_what_a_busy_machine_had_no_time_for_is_not_measured():
    """Otherwise a run in CI would pass without having measured anything."""
    assert unmeasured_in({"cycles": {}}) == []
    result = {
        "pickup": {
            "acknowledged": {"picked up": 2, "sent": 3},
            "peer": {"picked up": 3, "sent": 3},
        },
        "idle polls": {"floor": {"rate": 0.0}},
        "left out": ["spike"],
    }
    found = ["spike", "pickup, acknowledged (2 of 3)", "idle polls, floor"]
    assert unmeasured_in(result) == found


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ({}, 0),
        ({"left out": ["spike"]}, 2),
        ({"left out": ["spike"], "failed": {"sending": "it has ended"}}, 1),
    ],
)
def test_exit_status_says_whether_all_was_measured(tmp_path, monkeypatch, found, status):
    monkeypatch.setattr("signal.signal", lambda *args: None)  # of the whole test process
    monkeypatch.setattr(Run, "execute", lambda self: {"server": "3", "seconds": 1.0, **found})
    arguments = ["--database", "sqlite", "--quick", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    assert benchmark() == status


def test_tables_show_the_ratio_and_what_was_left_out():
    variants = {name: [measured()] for name in ("acknowledged", "peer", "floor")}
    result = {
        "database": "sqlite", "server": "3", "processors": 2, "memory_gib": 1, "python": "3.11",
        "commit": "abc", "seconds": 1.0, "load_before": 0.5, "cycles": {"4": variants},
        "left out": ["spike"],
    }  # fmt: skip
    text = tables(result)
    assert "1.00 (1.00 to 1.00)" in text
    assert text.endswith("left out: spike")


@pytest.mark.django_db
def test_backlog_copies_rows_with_their_contents_and_replies():
    store = OurStore()
    store.make_grader()
    store.backlog(pending=1_700, finished=2_500, body_bytes=8)
    assert store.counts()["pending"] == 1_700
    assert store.counts()["answered"] == store.counts()["applied"] == 2_500
    assert store.counts()["twice"] == 0
    assert SubmissionContent.objects.filter(submission=None).count() == 0
    assert Submission.objects.values("user_id", "usage_key").distinct().count() == 4_200
    assert ReceivedReply.objects.values("submission").distinct().count() == 2_500


@pytest.mark.django_db
def test_a_sent_answer_is_pulled_after_those_that_were_copied():
    store = OurStore()
    store.make_grader()
    store.backlog(pending=1_100, finished=0, body_bytes=8)
    began = time.time()
    ((number, at),) = store.send(1, body_bytes=8)
    assert began <= at <= time.time()
    assert number > Submission.objects.exclude(pk=number).order_by("-pk")[0].pk
