"""Run a learner's program in bubblewrap if that works, else in a limited child process."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

HARNESS = Path(__file__).with_name("harness.py").read_text(encoding="utf-8")
MEMORY_BYTES = 512 * 2**20
#: Maximum size of a program's output, and of its results (two million primes fit).
MAX_OUTPUT_BYTES = 100_000
MAX_RESULT_BYTES = 8 * 2**20
#: The limit is on processor time; a program that only sleeps ends at this multiple of it.
WALL_FACTOR = 4


@dataclass(frozen=True)
class Task:
    """A program and the calls to make of one of its functions."""

    file: str
    source: str
    function: str
    calls: Sequence[Sequence[Any]]
    seconds: float


@dataclass(frozen=True)
class Run:
    """The outcome of a task.

    ``loading`` and each of ``results`` are the harness's objects; ``results`` is shorter than
    the task's calls if the program ended before. ``ended`` says how:
    "finished", "time", "output" (it printed too much) or "crash".
    """

    loading: Mapping[str, Any] | None
    results: tuple[Mapping[str, Any], ...]
    printed: str
    ended: str


@dataclass
class _Stream:
    """One pipe from the child, read up to a limit."""

    pipe: IO[bytes]
    limit: int
    data: bytearray = field(default_factory=bytearray)


def run(task: Task, isolated: bool | None = None) -> Run:
    """Run a task; end it after a bounded time."""
    isolated = is_isolated() if isolated is None else isolated
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryDirectory() as nowhere:
        request = {**_request(task), "library": None if isolated else _readable_library()}
        stdin.write(json.dumps(request).encode())
        stdin.seek(0)
        child = subprocess.Popen(
            [*(_bubblewrap() if isolated else [_python()]), *_arguments(write_end)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[write_end],
            cwd=nowhere,
            env={"LANG": "C.UTF-8", "LD_LIBRARY_PATH": "/python/lib"} if isolated else {},
            start_new_session=True,
        )
        os.close(write_end)
        assert child.stdout is not None
        results = _Stream(os.fdopen(read_end, "rb"), MAX_RESULT_BYTES)
        output = _Stream(child.stdout, MAX_OUTPUT_BYTES)
        try:
            ended = _watch(child, [results, output], task.seconds * WALL_FACTOR)
        finally:
            _kill(child)
            results.pipe.close()
            output.pipe.close()
    return run_from(bytes(results.data), bytes(output.data), ended)


def is_isolated() -> bool:
    """Return whether programs run in bubblewrap on this machine."""
    return _works(tuple(_bubblewrap()))


def describe() -> str:
    """Return a sentence about the isolation of programs, for the grader's log and the demo."""
    if is_isolated():
        return "Programs run in bubblewrap: no network, nothing to write to, limits on all else."
    return (
        "NOT ISOLATED: bubblewrap (bwrap) is missing or does not work here. Programs run as a "
        "child process with limits on time, memory and files only; do not open this to strangers."
    )


def _request(task: Task) -> dict[str, Any]:
    seconds = max(1, round(task.seconds))
    return {
        "file": task.file,
        "source": task.source,
        "function": task.function,
        "calls": task.calls,
        "limits": {
            "CPU": [seconds, seconds + 1],
            "AS": [MEMORY_BYTES, MEMORY_BYTES],
            "FSIZE": [MAX_RESULT_BYTES, MAX_RESULT_BYTES],
            "NOFILE": [32, 32],
            "NPROC": [0, 0],
            "CORE": [0, 0],
        },
    }


@functools.cache
def _readable_library() -> str | None:
    """Return a copy of the standard library, if the unprivileged user cannot read the original.

    Return None if the child keeps its user, or the unprivileged user can read the original.
    """
    original = Path(os.__file__).resolve().parent
    can_enter = all(folder.stat().st_mode & 0o001 for folder in (original, *original.parents))
    if os.geteuid() != 0 or (can_enter and original.stat().st_mode & 0o004):
        return None
    copy = Path(tempfile.mkdtemp(prefix="python-library-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    left_out = shutil.ignore_patterns("site-packages", "test", "idlelib", "ensurepip")
    shutil.copytree(original, copy, ignore=left_out, dirs_exist_ok=True)
    copy.chmod(0o755)
    return str(copy)


def _arguments(results: int) -> list[str]:
    # -I -S: nothing from the environment, the working directory or site-packages.
    return ["-I", "-S", "-B", "-X", "utf8", "-c", HARNESS, str(results)]


def _python() -> str:
    # Not the virtual environment's link, because programs must not import its packages.
    return os.path.realpath(sys.executable)


def _bubblewrap() -> list[str]:
    """Return the command that starts Python in a new, read-only, network-less system."""
    as_root = os.geteuid() == 0
    # Root needs no user namespace, and changes to another user inside, so that the kernel can
    # limit the processes. Other users get a user namespace as well.
    separate = ["--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    rights = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if as_root else []
    if not as_root:
        separate.append("--unshare-user")
    prefix, python = Path(sys.base_prefix).resolve(), Path(_python())
    system = [part for path in ("/lib", "/lib64") for part in ("--ro-bind-try", path, path)]
    return [
        shutil.which("bwrap") or "bwrap",
        *separate,
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", *rights),
        *("--ro-bind", "/usr", "/usr", *system, "--ro-bind", str(prefix), "/python"),
        *("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"),
        *("--tmpfs", "/tmp", "--remount-ro", "/tmp", "--chdir", "/tmp", "--remount-ro", "/"),
        str(Path("/python") / python.relative_to(prefix)),
    ]


@functools.cache
def _works(command: tuple[str, ...]) -> bool:
    """Run the sandbox once: a kernel or a container may forbid it."""
    environment = {"LD_LIBRARY_PATH": "/python/lib"}
    probe = [*command, "-I", "-S", "-c", "import json, resource, random"]
    try:
        done = subprocess.run(
            probe, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _watch(child: subprocess.Popen[bytes], streams: list[_Stream], seconds: float) -> str:
    """Read until the child has closed its pipes, or exceeds the limit of time or output."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.pipe, selectors.EVENT_READ, stream)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return "time"
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fileobj)
                key.data.data += chunk
                if len(key.data.data) > key.data.limit:
                    return "output"
    try:
        return _ending(child.wait(timeout=max(0.1, deadline - time.monotonic())))
    except subprocess.TimeoutExpired:
        return "time"


def _ending(returncode: int) -> str:
    # After a signal N the exit code is -N; bubblewrap returns 128 + N.
    number = returncode - 128 if returncode > 128 else -returncode
    if number in (signal.SIGXCPU, signal.SIGKILL):
        return "time"
    return "crash" if returncode else "finished"


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and its process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def run_from(results: bytes, output: bytes, ended: str) -> Run:
    lines = []
    for line in results.split(b"\n")[:-1]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(found, dict):
            break
        lines.append(found)
    printed = output[:MAX_OUTPUT_BYTES].decode("utf-8", "replace")
    return Run(lines[0] if lines else None, tuple(lines[1:]), printed, ended)
