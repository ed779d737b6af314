"""The systems under comparison: their environment, web server, control process and graders."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.side_by_side.cpu import cpu_seconds, process_of_thread, root_of

ROOT = Path(__file__).resolve().parent.parent.parent
PEER_PYTHON = ROOT / ".venv-peer" / "bin" / "python"
START_SECONDS = 60
#: Seconds after which a control process or a grader process counts as hanging.
ANSWER_SECONDS = 900
SERVERS = ("postgres", "mariadbd", "mysqld")
WORKERS, THREADS = 2, 4


class BenchmarkError(Exception):
    """A process of the benchmark has failed; the message has the end of its output."""


@dataclass(frozen=True)
class Setting:
    """What all systems have in common in a run."""

    database: str
    folder: Path
    redis: str

    def environment(self, system: str) -> dict[str, str]:
        """Return the environment of a system's processes."""
        name = f"xqueue_bridge_benchmark_{os.getpid()}_{system}"
        if self.database == "sqlite":
            name = str(self.folder / f"{system}.sqlite3")
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BENCHMARK_DATABASE": self.database,
            "BENCHMARK_NAME": name,
            "BENCHMARK_REDIS": self.redis,
            "DJANGO_SETTINGS_MODULE": f"benchmarks.side_by_side.settings_{system}",
        }


class Control:
    """A process that runs commands of a system's store (``control.py``)."""

    def __init__(self, name: str, system: System) -> None:
        self.name, self._log_path = name, system.setting.folder / f"{name}.log"
        self._log = self._log_path.open("w")
        self._process = subprocess.Popen(  # noqa: S603 (our own commands)
            [system.python, "-m", "benchmarks.side_by_side.control", system.name],
            cwd=ROOT, env=system.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip

    def begin(self, method: str, **arguments: Any) -> None:
        """Start a method of the store; ``end`` waits for it."""
        print(json.dumps([method, arguments]), file=self._process.stdin, flush=True)

    def end(self) -> dict[str, Any]:
        """Return the ``result`` of the method and its ``cpu`` seconds."""
        assert self._process.stdout is not None  # noqa: S101 (for the type checker)
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "it has ended"}
        if "error" in answer:
            log = self._log_path.read_text()[-2000:]
            raise BenchmarkError(f"control process {self.name}: {answer['error']}\n{log}")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=60)
        self._log.close()


@dataclass
class System:
    """One system with its database; ``servers`` are its web servers by variant."""

    name: str
    setting: Setting
    servers: dict[str, Server] = field(default_factory=dict)

    @property
    def python(self) -> str:
        return str(PEER_PYTHON) if self.name == "peer" else sys.executable

    def __enter__(self) -> Self:
        self.environment = self.setting.environment(self.name)
        self._control = Control(f"{self.name}-control", self)
        try:
            self.account: dict[str, str] = self.command("create")
        except BenchmarkError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for server in self.servers.values():
            server.stop()
        with self._control:
            self.command("drop")

    def command(self, method: str, **arguments: Any) -> Any:
        """Run a method of the system's store; return its result."""
        return self.measured_command(method, **arguments)["result"]

    def measured_command(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Run a method of the system's store; return its ``result`` and its ``cpu`` seconds."""
        self._control.begin(method, **arguments)
        return self._control.end()

    def sender(self, number: int) -> Control:
        """Return another control process, which sends while the first one counts."""
        return Control(f"{self.name}-sender{number}", self)

    def serve(self, variant: str, **environment: str) -> Server:
        """Start a web server of this system."""
        server = Server(f"{self.name}-{variant}", self, {**self.environment, **environment})
        self.servers[variant] = server
        return server

    def database_process(self) -> int | None:
        """Return the database server's process; None if it runs inside ours or elsewhere."""
        found = self.command("server_process")
        if found is None:
            return None
        kind, number = found
        pid = process_of_thread(number) if kind == "thread" else number
        return None if pid is None else root_of(pid, SERVERS)


class Process:
    """A process that runs beside the graders; its output is kept in a file."""

    def __init__(self, name: str, system: System, command: list[str], env: dict[str, str]) -> None:
        self.log = system.setting.folder / f"{name}.log"
        self._output = self.log.open("w")
        self._process = subprocess.Popen(  # noqa: S603
            [system.python, *command], cwd=ROOT, env=env, stdout=self._output, stderr=self._output
        )
        self.pid = self._process.pid

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=30)
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class Server(Process):
    """gunicorn with the same workers and threads for each system."""

    def __init__(self, name: str, system: System, env: dict[str, str]) -> None:
        self.system, self.port = system, free_port()
        command = [
            "-m", "gunicorn", "benchmarks.side_by_side.wsgi", "--no-control-socket", "--preload",
            "--bind", f"127.0.0.1:{self.port}", "--worker-class", "gthread",
            "--workers", str(WORKERS), "--threads", str(THREADS), "--keep-alive", "60",
            "--log-level", "warning",
        ]  # fmt: skip
        super().__init__(name, system, command, env)
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.port):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise BenchmarkError(f"{name} did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def start_graders(self, **task: Any) -> Graders:
        """Start a process of graders at this server."""
        return Graders({"port": self.port, "queue": "benchmark", **self.system.account, **task})

    def run_graders(self, **task: Any) -> dict[str, Any]:
        """Run graders until they stop; return what they measured."""
        return self.start_graders(**task).result()


class Graders:
    """A process of graders (``client.py``)."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-S", "-m", "benchmarks.side_by_side.client", json.dumps(task)],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def result(self) -> dict[str, Any]:
        output, errors = self._process.communicate(timeout=ANSWER_SECONDS)
        if self._process.returncode:
            raise BenchmarkError(f"the graders have failed:\n{errors[-2000:]}")
        found: dict[str, Any] = json.loads(output)
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
