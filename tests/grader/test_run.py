"""Config, and run() with processes that are stopped and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.submission_queue.factories import new_submission
from tests.worker.test_stop_signals import end_of, fork
from xqueue_bridge.grader import Config, Submission
from xqueue_bridge.grader.programs import Limits, run_program
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission as SubmissionRow

ROOT = Path(__file__).resolve().parent.parent.parent
GRADER = """
import time
from xqueue_bridge.grader import Result

def grade(submission):
    time.sleep({seconds})
    return Result(score=1, message="Good.")
"""
GIVEN = {"url": "http://x", "queues": ["a"], "name": "n", "secret": "s"}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"queues": "python"}, "queues"),
        ({"queues": []}, "queues"),
        ({"secret": ""}, "secret"),
        ({"workers": 0}, "workers"),
        ({"poll_seconds": 0}, "poll_seconds"),
        ({"on_error": "ignore"}, "on_error: must be one of retry, report"),
    ],
)
def test_wrong_value_is_named(values, named):
    with pytest.raises(ValueError, match=named):
        Config(**{**GIVEN, **values})


def test_secret_is_read_from_a_file_and_not_shown(tmp_path):
    (tmp_path / "secret").write_text("s3cret\n")
    environment = {
        "XQUEUE_GRADER_NAME": "n",
        "XQUEUE_GRADER_SECRET_FILE": str(tmp_path / "secret"),
    }
    config = Config.from_environment(environment, url="http://x", queues=["a"])
    assert config.secret == "s3cret"
    assert "s3cret" not in repr(config)
    with pytest.raises(ValueError, match="XQUEUE_GRADER_NAME"):
        Config.from_environment({}, url="http://x", queues=["a"])


def started(live_server, secret: str, folder: Path, *, seconds: float, workers: int):
    path = folder / "my_grader.py"
    path.write_text(GRADER.format(seconds=seconds))
    return subprocess.Popen(
        [sys.executable, "-m", "xqueue_bridge.grader.cli", "run", str(path)]
        + ["--url", live_server.url, "--queue", "python"]
        + ["--workers", str(workers), "--poll", "0.05"],
        cwd=ROOT,
        env={**os.environ, "XQUEUE_GRADER_NAME": "watcher", "XQUEUE_GRADER_SECRET": secret},
    )


def eventually(condition, seconds: float = 60) -> bool:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("workers", [1, 3])
def test_sigterm_ends_after_the_submission_that_is_graded(live_server, tmp_path, workers):
    secret = submission_queue.create_grader("watcher", ["python"])
    for number in range(4):
        submission_queue.enqueue(new_submission(queue_key=f"key-{number}"))
    process = started(live_server, secret, tmp_path, seconds=0.5, workers=workers)
    try:
        assert eventually(lambda: SubmissionRow.objects.filter(status="leased").exists())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0
    finally:
        process.kill()
    # What was begun was finished, and nothing was left half done.
    assert not SubmissionRow.objects.filter(status="leased").exists()
    assert SubmissionRow.objects.filter(status="answered").exists()


@pytest.mark.django_db(transaction=True)
def test_workers_end_when_the_process_that_started_them_is_killed(live_server, tmp_path):
    secret = submission_queue.create_grader("watcher", ["python"])
    process = started(live_server, secret, tmp_path, seconds=0, workers=2)
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    assert eventually(lambda: len(Path(children).read_text().split()) == 2)
    pids = [int(pid) for pid in Path(children).read_text().split()]
    process.kill()
    process.wait()
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_stop_signal_before_a_worker_has_handlers_ends_it(monkeypatch):
    """Kind 15: a signal that comes right after the start is neither lost nor the parent's."""

    class Client:
        def __init__(self, *args: object) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        def pull(self, queue_name: str) -> None:
            return None

    run = sys.modules["xqueue_bridge.grader.run"]  # the package has a function of that name
    monkeypatch.setattr(run, "QueueClient", Client)
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: None)  # as the supervisor's: it only sets a flag
    try:
        for _ in range(20):
            child = run._Supervisor(lambda submission: None, Config(**GIVEN))._start()
            child.join(10)
            assert child.exitcode == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_worker_whose_pull_is_held_ends_within_five_seconds(monkeypatch, tmp_path):
    """A gateway holds pulls for longer, and gives the lease back whose grader is gone."""

    class Client:
        def __init__(self, *args: object) -> None:
            pass

        def pull(self, queue_name: str) -> None:
            (tmp_path / "pulls").touch()
            time.sleep(60)

    run = sys.modules["xqueue_bridge.grader.run"]
    monkeypatch.setattr(run, "QueueClient", Client)
    child = run._Supervisor(lambda submission: None, Config(**GIVEN))._start()
    assert eventually((tmp_path / "pulls").exists)
    began = time.monotonic()
    child.terminate()
    child.join(60)
    assert child.exitcode == 0
    assert time.monotonic() - began < 5


class OneSubmission:
    """Stands in for the client: delivers the same submission whenever it is asked."""

    was_held = False

    def __init__(self, *args: object) -> None:
        pass

    def pull(self, queue_name: str) -> Submission:
        return Submission('{"submission_id": 7}', "{}")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("way", ["second signal", "time"])
def test_learners_program_ends_with_the_grader(monkeypatch, tmp_path, workers, way):
    """A program that waits would go on without the grader, and its files would stay."""
    folder = tmp_path / "pids"
    folder.mkdir()

    def grade(submission: Submission) -> None:
        run_program(["sh", "-c", f"touch {folder}/$$; exec sleep 600"], limits=Limits(seconds=600))

    module = sys.modules["xqueue_bridge.grader.run"]
    monkeypatch.setattr(module, "QueueClient", OneSubmission)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seconds = 0.5 if way == "time" else 60
    config = Config(**GIVEN, workers=workers, stop_seconds=seconds)
    pid = fork(lambda: sys.exit(module.run(grade, config)))
    assert eventually(lambda: len(list(folder.iterdir())) == workers)
    os.kill(pid, signal.SIGTERM)
    if way == "second signal":
        time.sleep(0.5)
        os.kill(pid, signal.SIGHUP)
    status, _ = end_of(pid)
    assert status == (1 if workers == 1 else 0)
    programs = [Path(f"/proc/{each.name}") for each in folder.iterdir()]
    assert eventually(lambda: not any(program.exists() for program in programs))
    assert not list(tmp_path.glob("answer-*"))
