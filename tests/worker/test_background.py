"""Jobs run in a thread of the web process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from django.db import connections

from xqueue_bridge.grader_api.responses import success
from xqueue_bridge.worker import background, enqueue
from xqueue_bridge.worker.background import Job, JobThread, threads_run
from xqueue_bridge.worker.enqueue import run_together

PATIENCE = 20


@pytest.fixture
def thread(monkeypatch) -> Iterator[JobThread]:
    started = JobThread(run_together)
    monkeypatch.setattr(enqueue, "threads_run", lambda: True)
    monkeypatch.setattr(enqueue, "_thread", started)
    yield started
    started.stop(PATIENCE)
    assert not named_threads()


def named_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "xqueue_bridge"]


def test_closing_a_response_does_not_wait_for_its_jobs(thread):
    """C90: the next request of the grader is taken at once, on any server."""
    may_end, ended = threading.Event(), threading.Event()
    response = success()
    response.jobs = [lambda: may_end.wait(PATIENCE) and ended.set()]
    response.close()
    assert not ended.is_set()
    may_end.set()
    assert ended.wait(PATIENCE)


def test_the_setting_leaves_the_jobs_to_the_thread_of_the_request(thread, settings):
    settings.XQUEUE_BRIDGE = {"BACKGROUND_THREAD": False}
    by: list[threading.Thread] = []
    enqueue.run_later([lambda: by.append(threading.current_thread())])
    assert by == [threading.current_thread()]
    assert not named_threads()


def test_response_without_jobs_starts_no_thread(thread):
    enqueue.run_later([])
    assert not named_threads()


def test_jobs_that_come_meanwhile_are_run_together(monkeypatch):
    """C90: the first one at once, the others at the next run."""
    runs: list[int] = []
    is_running, may_end = threading.Event(), threading.Event()

    def run(jobs: list[Job]) -> None:
        runs.append(len(jobs))
        is_running.set()
        may_end.wait(PATIENCE)

    thread = JobThread(run)
    assert thread.put([print])
    assert is_running.wait(PATIENCE)
    for _ in range(30):
        assert thread.put([print])
    may_end.set()
    thread.stop(PATIENCE)
    assert runs == [1, 30]


def test_jobs_that_come_one_after_the_other_are_run_together(monkeypatch):
    """C90: the first one at once, the others when there are ENOUGH; the end waits for neither."""
    monkeypatch.setattr(background, "INTERVAL", 10 * PATIENCE)
    monkeypatch.setattr(background, "ENOUGH", 3)
    runs: list[int] = []
    thread = JobThread(lambda jobs: runs.append(len(jobs)))
    for _ in range(4):
        assert thread.put([print])
        wait_until(lambda: runs)
    wait_until(lambda: len(runs) > 1)
    thread.stop(PATIENCE)
    assert runs == [1, 3]
    assert not named_threads()


def test_what_is_too_much_is_run_by_the_caller(thread, monkeypatch):
    """C90: the number of jobs that wait is bounded, and none is lost."""
    monkeypatch.setattr(background, "MAX_WAITING", 3)
    may_begin, done = threading.Event(), []
    enqueue.run_later([lambda: may_begin.wait(PATIENCE)])
    wait_until(lambda: not thread._jobs)
    for number in range(5):
        enqueue.run_later([lambda number=number: done.append(number)])
    assert done == [3, 4]
    may_begin.set()
    wait_until(lambda: len(done) == 5)
    assert sorted(done) == list(range(5))


def test_a_failed_job_ends_neither_the_thread_nor_the_other_jobs(thread, caplog):
    done = threading.Event()

    def fail() -> None:
        raise RuntimeError("learner's secret")

    enqueue.run_later([fail])
    enqueue.run_later([done.set])
    assert done.wait(PATIENCE)
    assert "A job after the response failed: RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_each_run_reads_what_the_platform_has_published_meanwhile(thread, monkeypatch):
    """C90: in an LMS, a block is loaded in its latest version, as in a new request."""
    cleared: list[threading.Thread] = []
    clear = lambda: cleared.append(threading.current_thread())  # noqa: E731
    monkeypatch.setattr(background, "clear_request_cache", clear)
    for number in (1, 2):
        enqueue.run_later([lambda: None])
        wait_until(lambda number=number: len(cleared) == number)
    assert cleared == named_threads() * 2


def test_without_jobs_the_thread_ends_and_the_next_job_starts_another(thread, monkeypatch):
    """C90: an idle process holds no thread and no connection."""
    monkeypatch.setattr(background, "IDLE_SECONDS", 0.01)
    by: list[threading.Thread] = []
    for number in (1, 2):
        enqueue.run_later([lambda: by.append(threading.current_thread())])
        wait_until(lambda number=number: len(by) == number and not named_threads())
    assert by[0] is not by[1]


def test_job_is_run_at_once_by_a_thread_that_waits(thread, monkeypatch):
    monkeypatch.setattr(background, "INTERVAL", 0)
    done: list[int] = []
    for number in (1, 2):
        enqueue.run_later([lambda number=number: done.append(number)])
        wait_until(lambda number=number: len(done) == number and thread._changed._waiters)


def test_job_that_comes_while_the_thread_ends_starts_another(thread, monkeypatch):
    monkeypatch.setattr(background, "IDLE_SECONDS", 0.01)
    ends, may_end = threading.Event(), threading.Event()
    close_all = lambda: ends.set() or may_end.wait(PATIENCE)  # noqa: E731
    monkeypatch.setattr(background.connections, "close_all", close_all)
    done: list[int] = []
    enqueue.run_later([lambda: done.append(1)])
    assert ends.wait(PATIENCE)
    enqueue.run_later([lambda: done.append(2)])
    wait_until(lambda: len(done) == 2)
    may_end.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_has_ended_unexpectedly_is_replaced():
    runs: list[int] = []

    def end(jobs: list[Job]) -> None:
        runs.append(len(jobs))
        raise SystemExit

    thread = JobThread(end)
    for number in (1, 2):
        assert thread.put([print])
        wait_until(lambda number=number: len(runs) == number and not named_threads())


@pytest.mark.django_db(transaction=True)
def test_the_thread_has_a_connection_of_its_own_and_closes_it(thread):
    seen = []

    def use_the_database() -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1")
        seen.append(connections["default"])

    enqueue.run_later([use_the_database])
    thread.stop(PATIENCE)
    assert seen[0] is not connections["default"]
    assert seen[0].connection is None


@pytest.mark.django_db(transaction=True)
def test_connections_that_are_too_old_are_closed_before_and_after_a_run(thread, monkeypatch):
    """As Django closes those of a request; what is left is closed when the thread ends."""
    monkeypatch.setattr(background, "INTERVAL", 0)
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 1000)
    used: list[tuple[object, object]] = []

    def use_the_database() -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1")
        used.append((connections["default"], connections["default"].connection))

    def use_it_too_long() -> None:
        use_the_database()
        connections["default"].close_at = 0

    def run(job: Job) -> None:
        number = len(used) + 1
        enqueue.run_later([job])
        wait_until(lambda: len(used) == number and thread._changed._waiters)

    run(use_the_database)
    ((wrapper, first),) = used
    run(use_the_database)
    assert used[1] == (wrapper, first)
    wrapper.close_at = 0
    run(use_the_database)
    assert used[2][1] is not first
    run(use_it_too_long)
    assert wrapper.connection is None
    run(use_the_database)
    thread.stop(PATIENCE)
    assert wrapper.connection is None


def test_jobs_after_the_end_of_the_thread_are_run_by_the_caller(thread):
    thread.stop(PATIENCE)
    done: list[int] = []
    enqueue.run_later([lambda: done.append(1)])
    assert done == [1]


def test_without_a_new_thread_of_the_system_the_caller_runs_the_job(thread, monkeypatch):
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    enqueue.run_later([lambda: done.append(1)])
    assert done == [1]


def run_script(text: str) -> subprocess.CompletedProcess[str]:
    head = """
        import os, time, django
        django.setup()
        from xqueue_bridge.worker import enqueue
        def job(name):
            return lambda: (time.sleep(0.3), print(name, flush=True))
    """
    code = textwrap.dedent(head) + textwrap.dedent(text)
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings_without_capa"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=env, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip


def test_a_process_that_ends_runs_its_jobs_first():
    """C90: a restart of the server leaves nothing to the sweeper."""
    ended = run_script("""
        for name in "abc":
            enqueue.run_later([job(name)])
    """)
    assert ended.stdout.split() == ["a", "b", "c"]
    assert "the sweeper does them" not in ended.stderr


def test_a_process_does_not_wait_long_for_a_job_that_hangs():
    """C90: the wait at the end is bounded."""
    began = time.monotonic()
    ended = run_script("""
        from xqueue_bridge.worker import background
        background.JobThread.stop.__defaults__ = (0.2,)
        enqueue.run_later([lambda: time.sleep(300)])
    """)
    assert time.monotonic() - began < 60
    assert "the sweeper does them" in ended.stderr


def test_a_job_that_hangs_leaves_the_web_server_time_to_end():
    """SG44: a process ends within five seconds of SIGTERM, of which its server needs one or two."""
    ended = run_script("""
        from xqueue_bridge.worker import background
        thread = background.JobThread(lambda jobs: time.sleep(300))
        thread.put([print])
        began = time.monotonic()
        thread.stop()
        print(time.monotonic() - began, flush=True)
        os._exit(0)
    """)
    assert 2.5 < float(ended.stdout) < 3.5


def test_a_forked_process_has_a_thread_of_its_own():
    """C90: servers fork their workers; the child runs its own jobs, and none of its parent's."""
    ended = run_script("""
        enqueue.run_later([job("parent")])
        child = os.fork()
        enqueue.run_later([job("child" if child == 0 else "again")])
        if child:
            os.waitpid(child, 0)
    """)
    assert sorted(ended.stdout.split()) == ["again", "child", "parent"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, False), ({"enable-threads": True}, True), ({"threads": b"2"}, True)],
)
def test_uwsgi_has_threads_only_if_it_is_told_so(monkeypatch, options, expected):
    """C90: elsewhere the thread would stand still between two requests."""
    assert threads_run()
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))
    assert threads_run() is expected


def wait_until(is_true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
