"""Compute the grades of all learners of a course."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.course_grades import api as course_grades
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.management.arguments import course_key, positive
from xqueue_bridge.management.progress import Progress
from xqueue_bridge.worker.stop_signals import Stopped, StopSignals

#: SIGHUP, which a closed terminal sends, ends the command by itself.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    help = (
        "Compute the grades of all learners who have a score or a grade in a course. "
        "--resume or the sweeper continues an interrupted run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("course_key", type=course_key)
        parser.add_argument(
            "--workers", type=positive, default=1, help="Number of processes (default: 1)."
        )
        parser.add_argument(
            "--batch-size", type=positive, default=50, help="Learners in a batch (default: 50)."
        )
        parser.add_argument(
            "--resume", action="store_true", help="Compute the outstanding grades only."
        )

    def handle(
        self, *args: object, course_key: CourseKey, workers: int, batch_size: int, **options: object
    ) -> None:
        _check_gradable(course_key)
        if not options["resume"]:
            course_grades.request_course(course_key)
        learners = course_grades.unfinished(course_key)
        batches = list(chunks(learners, batch_size))
        done = 0
        progress = Progress(self.stderr, len(learners))
        for count in _computed(course_key, batches, workers):
            done += count
            progress.update(done, f"{done} of {len(learners)}")
        # In a course that is still running, some learners have new scores by now.
        left = len(set(learners) & set(course_grades.unfinished(course_key, only_tried=True)))
        self.stdout.write(f"{len(learners) - left} grades computed in {course_key}")
        if left:
            raise CommandError(
                f"{left} grades failed; the admin's list of grade recalculations has the errors."
            )


def _check_gradable(key: CourseKey) -> None:
    course = course_structure.course_structures().get(key)
    if course is None:
        raise CommandError(
            f"{key} has no published structure; import it with xqueue_bridge_import_course."
        )
    if course_grades.is_frozen(course):
        raise CommandError(f"The grades of {key} are frozen (GRADE_FREEZE_DAYS).")


def _computed(key: CourseKey, batches: Sequence[list[int]], workers: int) -> Iterator[int]:
    """Compute the batches in ``workers`` processes; yield the size of each."""
    work = partial(_compute, key)
    if workers == 1:
        yield from map(work, batches)
        return
    connections.close_all()  # child processes must not share this process's connections
    fork = multiprocessing.get_context("fork")
    try:
        # The end of the pool waits for the batches that are being computed.
        with (
            StopSignals(_STOP_SIGNALS, interrupt=True),
            ProcessPoolExecutor(
                workers, mp_context=fork, initializer=_end_with, initargs=(os.getpid(),)
            ) as pool,
        ):
            yield from pool.map(work, batches)
    except Stopped:
        raise CommandError("Stopped by a signal; --resume computes the other grades.") from None


def _end_with(parent_pid: int) -> None:
    """End this process when its parent has ended: a signal that ends the parent leaves the pool."""

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(1)
        os._exit(1)

    signal.set_wakeup_fd(-1)  # the parent's, which would take this process's signals for its own
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=watch, name="parent", daemon=True).start()


def _compute(key: CourseKey, learners: Sequence[int]) -> int:
    seen = course_grades.wanted_versions(key, learners)
    for user_id in learners:
        course_grades.recalculate_requested(user_id, key, seen=seen.get(user_id))
    return len(learners)
