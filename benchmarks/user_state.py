"""Compare the user-state client with the 2015 algorithm, in one run, on one database.

    python -m benchmarks.user_state --database postgres

Each round does the same work with both, alternately, for different learners; a number is
the median of the rounds. Ratios are of one run: times of different runs cannot be compared.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.command import argument_parser, set_up
from benchmarks.data import block_key, state

#: Targets: kind of work -> speed relative to the 2015 algorithm.
TARGETS = {"insert": 8.0, "update": 8.0, "read": 4.0}
#: One block must not be slower. What is less than this is noise.
ONE_BLOCK = 0.95
SINGLES = 50


def main() -> None:
    wanted = _arguments()
    set_up(wanted.database)
    from benchmarks.database import a_database
    from benchmarks.models import History2015, Module2015

    with a_database(Module2015, History2015) as name:
        lines = list(compare(wanted.blocks, wanted.rounds))
        print(f"{wanted.database}, {wanted.blocks} blocks, {wanted.rounds} rounds")
        print(f"{'':<22}{'2015':>10}{'ours':>10}{'ratio':>8}{'best':>8}{'target':>8}   statements")
        print(*lines, sep="\n")
        if wanted.rows:
            from benchmarks.iteration_memory import walk_elsewhere

            print(walk_elsewhere(name, wanted.rows))


# -- the comparison


@dataclass
class Measured:
    """One kind of work by one algorithm: seconds of each round, and statements."""

    seconds: list[float] = field(default_factory=list)
    statements: int = 0

    @contextmanager
    def timed(self, times: int = 1) -> Iterator[None]:
        gc.collect()
        start = time.perf_counter()
        yield
        self.seconds.append((time.perf_counter() - start) / times)


class Learner:
    """A new learner, and three kinds of work by each algorithm."""

    def __init__(self, name: str, is_ours: bool) -> None:
        from django.contrib.auth import get_user_model

        from xqueue_bridge.learner_state.user_state_client import DjangoXBlockUserStateClient

        self.user = get_user_model().objects.create(username=name)
        self.is_ours = is_ours
        self.client = DjangoXBlockUserStateClient(self.user)

    def write(self, states: dict[Any, dict[str, Any]]) -> None:
        if self.is_ours:
            self.client.set_many(self.user.username, states)
            return
        from django.db import transaction

        from benchmarks.baseline_2015 import set_many

        with transaction.atomic():  # as the LMS's requests were
            set_many(self.user, states)

    def read(self, keys: list[Any]) -> int:
        from benchmarks.baseline_2015 import get_many

        read = self.client.get_many if self.is_ours else get_many
        return sum(bool(found.state) for found in read(self.user.username, keys))


def compare(blocks: int, rounds: int) -> Iterator[str]:
    """Measure both algorithms and yield a line for each kind of work."""
    from benchmarks.database import statements

    keys = [block_key(number) for number in range(blocks)]
    measured: dict[tuple[str, bool], Measured] = {}
    for number in range(-1, rounds):  # the first one is to warm up, and to count statements
        for is_ours in (False, True) if number % 2 else (True, False):
            learner = Learner(f"{'ours' if is_ours else '2015'}-{number}", is_ours)
            one = Learner(f"{'ours' if is_ours else '2015'}-one-{number}", is_ours)
            works = _works(learner, one, keys)
            for work, (times, do) in works.items():
                entry = measured.setdefault((work, is_ours), Measured())
                if number < 0:
                    entry.statements = statements(do) // times
                else:
                    with entry.timed(times):
                        do()
    for work in works:
        peer, ours = measured[work, False], measured[work, True]
        yield _line(work, blocks, peer, ours)


def _works(
    learner: Learner, one: Learner, keys: list[Any]
) -> dict[str, tuple[int, Callable[[], object]]]:
    """Return each kind of work with its number of repetitions and its function."""
    new, changed = state(0), {"attempts": 2, "done": True}
    singles = keys[:SINGLES]

    def each(do: Callable[[Any], object]) -> Callable[[], object]:
        return lambda: [do(key) for key in singles]

    return {
        "insert": (1, lambda: learner.write(dict.fromkeys(keys, new))),
        "update": (1, lambda: learner.write(dict.fromkeys(keys, changed))),
        "read": (1, lambda: learner.read(keys)),
        "insert one": (len(singles), each(lambda key: one.write({key: new}))),
        "update one": (len(singles), each(lambda key: one.write({key: changed}))),
        "read one": (len(singles), each(lambda key: one.read([key]))),
    }


def _line(work: str, blocks: int, peer: Measured, ours: Measured) -> str:
    then, now = median(peer.seconds), median(ours.seconds)
    best = min(peer.seconds) / min(ours.seconds)
    target = TARGETS.get(work, 1.0)
    missed = then / now < (target if work in TARGETS else ONE_BLOCK)
    what = work if work not in TARGETS else f"{work} {blocks} blocks"
    return (
        f"{what:<22}{then * 1000:>7.1f} ms{now * 1000:>7.1f} ms{then / now:>7.1f}x{best:>7.1f}x"
        f"{target:>7.0f}x   {peer.statements} -> {ours.statements}{'   MISSED' if missed else ''}"
    )


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--blocks", type=int, default=1000, help="Blocks of one write or read.")
    parser.add_argument("--rounds", type=int, default=5, help="Rounds; the median counts.")
    parser.add_argument("--rows", type=int, default=100_000, help="Rows to walk; 0: do not.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
