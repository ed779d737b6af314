"""Processes that run until they are stopped end within five seconds of SIGTERM."""

from __future__ import annotations

import gc
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections

from tests.moments import STEP
from xqueue_bridge.management.commands import xqueue_bridge_sweep
from xqueue_bridge.worker import stop_signals
from xqueue_bridge.worker.stop_signals import StopSignals

LIMIT = 5.0


def fork(work: Callable[[], object]) -> int:
    """Run ``work`` in a child process, which exits with 0 after it; return the process id."""
    pid = os.fork()
    if pid:
        return pid
    gc.freeze()  # a child that collects garbage would copy all memory of its parent
    try:
        work()
        os._exit(0)
    except SystemExit as exc:
        os._exit(exc.code if isinstance(exc.code, int) else 1)
    except BaseException:
        os._exit(99)


def end_of(pid: int) -> tuple[int, float]:
    """Wait for a child; return its exit code, or minus a signal, and how many seconds it took."""
    started = time.monotonic()
    while time.monotonic() < started + 2 * LIMIT:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - started
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the process goes on after SIGTERM")


def terminated(work: Callable[[], object], after: float) -> tuple[int, float]:
    pid = fork(work)
    time.sleep(after)
    os.kill(pid, signal.SIGTERM)
    return end_of(pid)


class Ready:
    """Tells the parent that a child has come to a certain line."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def set(self) -> None:
        os.write(self._writer, b".")

    def wait(self) -> None:
        os.read(self._reader, 1)


@pytest.mark.django_db(transaction=True)
def test_sweeper_ends_at_each_of_many_random_moments(monkeypatch):
    """SG44: the sweeper never hangs on SIGTERM, and exits with 0."""
    chosen = random.Random(15)
    ready = Ready()
    signalled: list[bool] = []  # each child has a copy
    real_sweep = xqueue_bridge_sweep.sweep

    def sweep() -> dict[str, int]:
        # Once: a second byte would let the next child be signalled before it is ready.
        if not signalled:
            signalled.append(True)
            ready.set()
        return real_sweep()

    def run() -> None:
        call_command("xqueue_bridge_sweep", "--forever", "--interval", "0.0005")

    monkeypatch.setattr(xqueue_bridge_sweep, "sweep", sweep)
    connections.close_all()
    ends = []
    for _ in range(0, 100, STEP):
        pid = fork(run)
        ready.wait()  # its handlers are in force
        time.sleep(chosen.uniform(0, 0.02))
        os.kill(pid, signal.SIGTERM)
        ends.append(end_of(pid))
    assert {code for code, _ in ends} == {0}
    assert max(seconds for _, seconds in ends) < LIMIT


def stopped_while(work: Callable[[], object]) -> tuple[int, float]:
    """Send SIGTERM while ``work`` runs below StopSignals; return exit code and seconds."""
    ready = Ready()

    def run() -> None:
        with StopSignals() as stop:
            ready.set()
            while not stop.received:
                work()

    pid = fork(run)
    ready.wait()
    time.sleep(0.1)
    os.kill(pid, signal.SIGTERM)
    return end_of(pid)


@pytest.fixture
def short_grace(monkeypatch) -> float:
    """Shorten the grace period; test_process_in_a_c_function_is_ended waits for the whole one."""
    monkeypatch.setattr(stop_signals, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(stop_signals, "LIMIT_SECONDS", 0.6)
    return 0.3


def test_long_system_call_is_interrupted(short_grace):
    """SG44: what sleeps or reads for minutes is ended by SystemExit."""
    code, seconds = stopped_while(lambda: time.sleep(60))
    assert code == 128 + signal.SIGTERM
    assert short_grace / 2 < seconds < LIMIT


def test_code_that_catches_everything_is_ended(short_grace):
    """SG44: the process exits from another thread."""

    def stubborn() -> None:
        while True:
            try:
                time.sleep(60)
            except BaseException:
                continue

    code, seconds = stopped_while(stubborn)
    assert code == 128 + signal.SIGTERM
    assert short_grace / 2 < seconds < LIMIT


def test_process_in_a_c_function_is_ended(tmp_path: Path):
    """SG44: SQLite waits for a lock in C, where Python calls no signal handler."""
    path = tmp_path / "locked.sqlite3"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    code, seconds = stopped_while(
        lambda: sqlite3.connect(path, timeout=60).execute("CREATE TABLE a (b)")
    )
    holder.close()
    assert code == 128 + signal.SIGTERM
    assert 2 < seconds < LIMIT


def test_process_that_holds_a_lock_when_the_signal_comes():
    """SG44: the handler touches no lock, so the interrupted code may hold any."""
    lock = threading.Lock()

    def work() -> None:
        with lock:
            time.sleep(0.001)

    for _ in range(20):
        assert stopped_while(work)[0] == 0


def test_second_signal_ends_the_process_at_once():
    """SG44: an operator who presses Ctrl-C twice does not wait for the grace period."""
    ready = Ready()

    def run() -> None:
        with StopSignals():
            ready.set()
            time.sleep(60)

    pid = fork(run)
    ready.wait()
    os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    os.kill(pid, signal.SIGINT)
    assert end_of(pid) == (128 + signal.SIGINT, pytest.approx(0, abs=1))


def test_deferred_interrupt():
    """An interrupt that comes while a child process is started is raised after that."""
    done = []

    def start() -> None:
        with StopSignals(interrupt=True) as stop, stop.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            done.append("started")

    def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            start()
        assert done == ["started"]

    assert end_of(fork(run))[0] == 0


def test_block_that_ends_restores_the_handlers():
    former = signal.getsignal(signal.SIGTERM)
    threads = threading.active_count()
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != former
    assert signal.getsignal(signal.SIGTERM) == former
    assert signal.set_wakeup_fd(-1) == -1
    deadline = time.monotonic() + LIMIT
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == threads


BUSY = """
import logging, os, signal, sys, time
from concurrent.futures import ThreadPoolExecutor
from xqueue_bridge.worker.stop_signals import StopSignals

logging.basicConfig()
with StopSignals() as stop:
    ThreadPoolExecutor(1).submit(time.sleep, 60)
    print("started", flush=True)
    stop.wait(60)
print("after the block", flush=True)
if sys.argv[1] == "log":
    logging.getLogger().handlers[0].lock.acquire()
"""


@pytest.mark.parametrize("held", ["", "log"])
def test_limit_holds_until_the_process_has_ended(held):
    """SG44: Python waits for each thread of a pool when it ends; a held lock changes nothing."""
    command = [sys.executable, "-c", BUSY, held]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    began = time.monotonic()
    process.terminate()
    output, errors = process.communicate(timeout=300)
    assert 2 < time.monotonic() - began < LIMIT
    assert process.returncode == (-signal.SIGALRM if held else 128 + signal.SIGTERM)
    assert output == "after the block\n"
    assert ("has not ended 3.5 s after signal 15" in errors) is (not held)
