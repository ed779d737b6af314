"""Run jobs in concurrent processes, each with its own connections to the test's database."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections

#: Seconds after which processes that have not ended fail the test.
PATIENCE = 60

_fork = multiprocessing.get_context("fork")


def in_processes(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run each job in its own process, started together; return their results.

    Call it outside a transaction. An exception in a job is raised here, as text.
    """
    connections.close_all()  # A child must not use the parent's connections.
    start = _fork.Barrier(len(jobs))
    channels = [_fork.Pipe(duplex=False) for _ in jobs]
    children = [
        _fork.Process(target=_run, args=(job, start, sender), daemon=True)
        for job, (_, sender) in zip(jobs, channels, strict=True)
    ]
    for child in children:
        child.start()
    try:
        return [_received(receiver) for receiver, _ in channels]
    finally:
        for child in children:
            child.join(PATIENCE)
            child.kill()


def _run(job: Callable[[], Any], start: Any, sender: Any) -> None:
    gc.freeze()  # a child that collects garbage would copy all memory of its parent
    try:
        start.wait(PATIENCE)
        outcome = ("returned", job())
        pickle.dumps(outcome)
    except BaseException:
        outcome = ("raised", traceback.format_exc())
    finally:
        connections.close_all()
    sender.send(outcome)


def _received(receiver: Any) -> Any:
    assert receiver.poll(PATIENCE), "a process has not come back"
    kind, value = receiver.recv()
    assert kind == "returned", value
    return value
