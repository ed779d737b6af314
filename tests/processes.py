"""Races between real processes, each with connections of its own to the test's database."""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections

#: Seconds after which processes that have not come back are a failure.
PATIENCE = 60

_fork = multiprocessing.get_context("fork")


def in_processes(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the jobs in a process each, all starting together; return what they return.

    Call it without an open transaction. A job's exception is raised here, as text.
    """
    connections.close_all()  # a child must not speak on our connections
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
    try:
        start.wait(PATIENCE)
        answer = ("returned", job())
        pickle.dumps(answer)
    except BaseException:
        answer = ("raised", traceback.format_exc())
    finally:
        connections.close_all()
    sender.send(answer)


def _received(receiver: Any) -> Any:
    assert receiver.poll(PATIENCE), "a process has not come back"
    kind, value = receiver.recv()
    assert kind == "returned", value
    return value
