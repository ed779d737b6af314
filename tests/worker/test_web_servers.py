"""The thread that runs jobs, in the processes of real web servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from benchmarks.side_by_side.systems import free_port
from tests.gateway.process import PATIENCE, ROOT, await_start
from tests.integration.conftest import eventually

pytestmark = pytest.mark.servers

#: Requests; with one thread for requests in a process, each would wait for the former's job.
REQUESTS = 6
GUNICORN = ["-m", "gunicorn", "tests.worker.wsgi_jobs", "--no-control-socket", "--workers", "2"]
UWSGI = ["--module", "tests.worker.wsgi_jobs", "--master", "--processes", "2", "--die-on-term"]
UWSGI += ["--enable-threads", "--need-app"]
FORKING = {
    "sync": [*GUNICORN, "--worker-class", "sync"],
    "sync, preload": [*GUNICORN, "--worker-class", "sync", "--preload"],
    "gthread": [*GUNICORN, "--worker-class", "gthread", "--threads", "2"],
    "gthread, preload": [*GUNICORN, "--worker-class", "gthread", "--threads", "2", "--preload"],
    "uwsgi": UWSGI,
    "uwsgi, lazy": [*UWSGI, "--lazy-apps"],
}
SERVERS = {**FORKING, "runserver": ["-m", "tests.worker.wsgi_jobs"]}


@dataclass
class Server:
    """A web server whose requests leave jobs."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    def request(self) -> int:
        """Leave a job; return the process that has responded."""
        return int(requests.get(f"http://127.0.0.1:{self.port}/", timeout=PATIENCE).text)

    def let_jobs_end(self) -> None:
        (self.folder / "go").touch()

    def done(self) -> list[tuple[int, int]]:
        """Return process and thread of each job that has ended."""
        path = self.folder / "done"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(pid), int(thread)) for pid, thread in map(str.split, lines)]


@pytest.fixture
def server(request, tmp_path: Path) -> Iterator[Server]:
    port, log = free_port(), tmp_path / "server.log"
    arguments = SERVERS[request.param]
    if request.param.startswith("uwsgi"):
        # pyuwsgi is uWSGI as a module of this Python.
        code = "import sys, pyuwsgi; pyuwsgi.run(sys.argv[1:])"
        arguments = ["-c", code, "--http-socket", f"127.0.0.1:{port}", *arguments]
    elif "gunicorn" in arguments:
        arguments = [*arguments, "--bind", f"127.0.0.1:{port}"]
    else:
        arguments = [*arguments, str(port)]
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "JOBS_FOLDER": str(tmp_path)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=env, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            await_start(port, process, log)
            yield Server(process, port, tmp_path)
        finally:
            with suppress(ProcessLookupError):  # the test has ended them
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_no_request_waits_and_each_process_has_one_thread(server):
    """C90: no job has ended when all requests have their responses."""
    pids = Counter(server.request() for _ in range(REQUESTS))
    assert not server.done()
    server.let_jobs_end()
    assert eventually(lambda: len(server.done()) == REQUESTS, PATIENCE)
    done = server.done()
    assert Counter(pid for pid, _ in done) == pids
    assert len(set(done)) == len(pids)


@pytest.mark.parametrize("server", FORKING, indirect=True)
def test_killed_worker_is_replaced_by_one_that_runs_its_own_jobs(server):
    """C90: the rows of the lost jobs are the sweeper's; the new process begins with none."""
    killed = server.request()
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: not Path(f"/proc/{killed}").exists(), PATIENCE)
    server.let_jobs_end()
    served = Counter(server.request() for _ in range(REQUESTS))
    assert killed not in served
    assert eventually(lambda: len(server.done()) == REQUESTS, PATIENCE)
    assert Counter(pid for pid, _ in server.done()) == served


@pytest.mark.parametrize("server", FORKING, indirect=True)
def test_server_that_is_ended_runs_its_jobs_first(server):
    """C90: a restart leaves nothing to the sweeper, and no process stays."""
    pids = {server.request() for _ in range(REQUESTS)}
    server.process.terminate()
    server.let_jobs_end()
    server.process.wait(PATIENCE)
    assert len(server.done()) == REQUESTS
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
