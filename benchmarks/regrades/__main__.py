"""Regrade submissions while learners submit, then cancel another regrade amid kills; check grades.

    python -m benchmarks.regrades --database postgres

Exits with 1 if the 95th percentile of the time until a grader has a live answer grows by more
than a fifth during the regrade, if a grade is wrong, or if a learner's block is left waiting.
``--quick`` judges no time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.command import argument_parser, set_up
from benchmarks.soak.__main__ import free_port
from benchmarks.soak.processes import Processes

BEGAN = time.monotonic()
MOST_GROWTH = 1.2
#: Submissions of each regrade for each minute; four regrades at once are 36 a second.
PER_MINUTE = 540
#: Seconds after which a phase has failed.
MOST_SECONDS = 900


class RegradeProcesses(Processes):
    """A web server, two sweepers, the graders and the learners."""

    def __init__(self, folder: Path, url: str, secret: str, wanted: argparse.Namespace) -> None:
        super().__init__(folder, url, secret)
        actors = ["-m", "benchmarks.regrades.actors"]
        sweeper = ["manage.py", "xqueue_bridge_sweep", "--forever", "--interval", "0.5"]
        of_graders = [wanted.graders, wanted.grading_seconds, wanted.poll_seconds]
        of_learners = [wanted.learners, wanted.answer_seconds]
        self.commands = {
            "web": self.commands["web"],
            "sweeper 1": sweeper,
            "sweeper 2": sweeper,
            "graders": [*actors, "graders", str(folder), "1", url, secret, *map(str, of_graders)],
            "learners": [*actors, "learners", str(folder), "1", *map(str, of_learners)],
        }


def main() -> int:
    wanted = _arguments()
    set_up(wanted.database, "benchmarks.regrades.settings")
    from benchmarks.database import a_database

    with a_database() as database, tempfile.TemporaryDirectory(prefix="regrades-") as folder:
        os.environ["XQUEUE_BRIDGE_BENCHMARK_DB"] = str(database)
        problems = _run(wanted, Path(folder))
    print("\n".join(problems) or "every grade is right")
    return 1 if problems else 0


def _run(wanted: argparse.Namespace, folder: Path) -> list[str]:
    from django.utils import timezone

    from benchmarks.regrades.world import make_world, wrong_grades

    secret = make_world(wanted.submissions, wanted.learners)
    with RegradeProcesses(folder, f"http://127.0.0.1:{free_port()}", secret, wanted) as processes:
        _say(f"{wanted.learners} learners submit")
        time.sleep(wanted.warm_seconds)
        times = [timezone.now()]
        time.sleep(wanted.baseline_seconds)
        times.append(timezone.now())
        _say(f"{wanted.submissions} submissions are regraded meanwhile")
        _start_regrades(keep_feedback=True)
        _wait_until(_are_regrades_finished)
        times.append(timezone.now())
        _say("the learners stop")
        (folder / "drain").touch()
        processes.running["learners"].wait(timeout=60)
        _wait_until(_is_drained)
        problems = _compare(times, judges=not wanted.quick)
        problems += wrong_grades(is_cancelled=False)
        _cancel_amid_kills(processes, wanted.kill_seconds)
        problems += wrong_grades(is_cancelled=True)
    for path in sorted(folder.glob("*.json")):
        counts = json.loads(path.read_text())
        print(f"{path.stem}: {counts}")
        problems += [f"{n} times {name}" for name, n in counts.items() if " 5" in name]
    return problems


def _say(text: str) -> None:
    """Print what begins, with the seconds since the start."""
    print(f"{time.monotonic() - BEGAN:5.0f} s  {text}", flush=True)


def _start_regrades(*, keep_feedback: bool) -> None:
    from benchmarks.regrades.world import COURSE, PROBLEMS
    from xqueue_bridge.regrading import api as regrading

    how = regrading.RegradeOptions(keep_feedback=keep_feedback, per_minute=PER_MINUTE)
    for problem in PROBLEMS:
        regrading.start(regrading.Selection(COURSE, usage_key=problem), how)


def _cancel_amid_kills(processes: RegradeProcesses, seconds: float) -> None:
    """Regrade again with one point more, kill processes meanwhile, and cancel it in the middle."""
    from xqueue_bridge.models import Regrade, RegradeItem
    from xqueue_bridge.regrading import api as regrading

    _say("another regrade, with kills")
    (processes.folder / "second").touch()
    _start_regrades(keep_feedback=False)
    running = list(Regrade.objects.filter(finished_at=None).values_list("pk", flat=True))
    until = time.monotonic() + seconds
    killed = ["web", "sweeper 1", "sweeper 2"]
    while time.monotonic() < until:
        time.sleep(random.uniform(0.5, 2))  # noqa: S311
        processes.kill(random.choice(killed))  # noqa: S311
    _say("it is cancelled")
    for pk in running:
        regrading.cancel(pk)
    processes.kill("sweeper 1")
    _wait_until(_are_regrades_finished)
    _wait_until(_is_drained)
    items = RegradeItem.objects.filter(regrade__in=running)
    counts = {status: items.filter(status=status).count() for status in RegradeItem.Status}
    shown = {status.value: number for status, number in counts.items() if number}
    print(f"cancelled amid {sum(processes.kills.values())} kills: {shown}")


def _compare(times: list[Any], *, judges: bool) -> list[str]:
    """Print the times until graders had the answers, before and during the regrade."""
    from xqueue_bridge.models import RegradeItem
    from xqueue_bridge.submission_queue.api import percentile

    p95 = []
    for name, begin, end in zip(("before", "during"), times, times[1:], strict=False):
        waits = _waits(begin, end)
        p50, high = percentile(waits, 0.5), percentile(waits, 0.95)
        p95.append(high)
        print(f"{name} the regrade: {len(waits)} answers, p50 {p50:.3f} s, p95 {high:.3f} s")
    seconds = (times[2] - times[1]).total_seconds()
    number = RegradeItem.objects.count()
    growth = p95[1] / max(p95[0], 0.001)
    print(f"{number} regrades in {seconds:.0f} s; p95 during / before: {growth:.2f}")
    is_too_slow = judges and growth > MOST_GROWTH
    return [f"p95 of live answers grew to {growth:.2f}"] if is_too_slow else []


def _waits(begin: Any, end: Any) -> list[float]:
    from xqueue_bridge.models import Submission

    live = Submission.objects.filter(
        regrade_of=None, created_at__gte=begin, created_at__lt=end, leased_at__isnull=False
    )
    rows: Any = live.values_list("created_at", "leased_at")
    return sorted((leased - created).total_seconds() for created, leased in rows)


def _are_regrades_finished() -> bool:
    from xqueue_bridge.models import Regrade

    return not Regrade.objects.filter(finished_at=None).exists()


def _is_drained() -> bool:
    from xqueue_bridge.models import ReceivedReply, Submission

    is_open = Submission.objects.filter(available_at__isnull=False).exists()
    return not (is_open or ReceivedReply.objects.filter(status="pending").exists())


def _wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + MOST_SECONDS
    while not condition():
        if time.monotonic() > ends:
            raise SystemExit(f"{condition.__name__} is not true after {MOST_SECONDS} s")
        time.sleep(0.5)


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__, "postgres")
    parser.add_argument("--quick", action="store_true", help="A minute: that it works.")
    parser.add_argument("--submissions", type=int, default=10_000)
    parser.add_argument("--learners", type=int, default=200)
    parser.add_argument("--answer-seconds", type=float, default=40, help="Of each learner.")
    parser.add_argument("--graders", type=int, default=16)
    parser.add_argument("--grading-seconds", type=float, default=0.25)
    parser.add_argument("--poll-seconds", type=float, default=1, help="Of an idle grader.")
    wanted = parser.parse_args()
    wanted.warm_seconds, wanted.baseline_seconds, wanted.kill_seconds = 5, 75, 20
    if wanted.quick:
        wanted.submissions, wanted.learners = 200, 20
        wanted.answer_seconds = 5
        wanted.warm_seconds, wanted.baseline_seconds, wanted.kill_seconds = 1, 8, 5
    return wanted


if __name__ == "__main__":
    sys.exit(main())
