"""Time pulls, positions and sends in a queue with few and with many waiting submissions.

    python -m benchmarks.order --database postgres

In each queue a part of the submissions has a priority, or is a regrade. The times of one run are
compared with those of the shortest queue; the ratios are what counts. The CPU time that the
database server has used for this connection is printed, too: a busy machine changes it less.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from benchmarks.command import argument_parser, set_up
from benchmarks.side_by_side.cpu import thread_seconds

BODY_BYTES = 256
#: Rows that graders hold while the last pull finds none.
LEASED = 1_000
#: Operations before those that are timed.
WARM_UP = 10


def main() -> None:
    parser = argument_parser(__doc__, default="postgres")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=200)
    wanted = parser.parse_args()
    set_up(wanted.database)
    from benchmarks.database import a_database

    with a_database():
        report(wanted.rows, wanted.repeats)


def report(rows: list[int], repeats: int) -> dict[str, list[float]]:
    """Print the median milliseconds of each operation for each number of waiting rows."""
    from benchmarks.explain import plan, pull_plan
    from benchmarks.side_by_side.stores.base import QUEUE
    from benchmarks.side_by_side.stores.ours import OurStore

    store = OurStore()
    store.make_grader()
    _kind, server = store.server_process() or ("", None)
    found: dict[str, list[float]] = {}
    print(f"{'waiting':>10}  " + "  ".join(f"{name:>32}" for name in _operations()))
    for number in rows:
        store.clear()
        store.backlog(number, 0, BODY_BYTES)
        _spread()
        store.analyze()
        cells = []
        for name, do in _operations().items():
            before = thread_seconds(server)
            found.setdefault(name, []).append(_milliseconds(do, repeats))
            used = (thread_seconds(server) - before) * 1000 / (repeats + WARM_UP)
            value, first = found[name][-1], found[name][0]
            cells.append(f"{value:8.2f} ms ({value / first:5.2f} x), {used:5.2f} CPU")
        print(f"{number:>10,}  " + "  ".join(f"{cell:>32}" for cell in cells), flush=True)
    print("\npull:\n" + pull_plan(QUEUE))
    print("\nposition of the newest:\n" + plan(_operations()["position of the newest"]))
    _hold(repeats)
    return found


def _operations() -> dict[str, Callable[[], object]]:
    from benchmarks.side_by_side.stores.base import QUEUE
    from tests.submission_queue.factories import new_submission
    from xqueue_bridge.submission_queue import queue
    from xqueue_bridge.submission_queue.models import Submission
    from xqueue_bridge.submission_queue.stats import position_of

    newest = Submission.objects.order_by("-pk").first()
    return {
        "pull": lambda: queue.pull(QUEUE, None),
        "position of the newest": lambda: newest and position_of(newest),
        "send": lambda: queue.enqueue(new_submission(QUEUE), is_limited=False),
    }


def _spread() -> None:
    """Let a tenth be due an hour earlier, a tenth an hour later, and 24 be regrades."""
    from django.db.models import F

    from xqueue_bridge.submission_queue.models import Submission

    for digit, hours in ((1, -1), (2, 1)):
        rows: Any = Submission.objects.annotate(digit=F("pk") % 10).filter(digit=digit)
        rows.update(due_at=F("due_at") + timedelta(hours=hours))
    ids = list(Submission.objects.order_by("pk").values_list("pk", flat=True)[:24])
    Submission.objects.filter(pk__in=ids).update(
        regrade_of=F("pk"), due_at=F("due_at") + timedelta(hours=4)
    )


def _hold(repeats: int) -> None:
    """Print the time of a pull that finds nothing while graders hold LEASED submissions."""
    from benchmarks.side_by_side.stores.base import QUEUE
    from xqueue_bridge.submission_queue import queue
    from xqueue_bridge.submission_queue.models import Submission

    empty = _milliseconds(lambda: queue.pull("empty", None), repeats)
    held: list[int] = []
    while len(held) < LEASED and (pulled := queue.pull(QUEUE, None)):
        held.append(pulled.submission_id)
    Submission.objects.filter(pk__in=held).update(queue_name="held")
    full = _milliseconds(lambda: queue.pull("held", None), repeats)
    print(
        f"\npull that finds none: {empty:.2f} ms; with {len(held):,} under lease: {full:.2f} ms "
        f"({full / empty:.2f} x)"
    )


def _milliseconds(do: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats + WARM_UP):
        began = time.perf_counter()
        do()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[WARM_UP:])


if __name__ == "__main__":
    main()
