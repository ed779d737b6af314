"""Run a learner's program in a child process with limits of time, memory and output.

The limits stop a program that hangs, grows or prints without end. They do not isolate it: it can
read every file that the grader's user can read, and use the network. Put a container command
into ``Limits.wrapper`` where strangers' code runs.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

#: Seconds to wait for a killed program's pipes to close.
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one run.

    ``wrapper`` is a command before the program's own, such as ``["bwrap", "--unshare-all", ...]``
    or ``["docker", "run", "--rm", "-i", "--network", "none", "image"]``. With a container, set the
    memory limit there: it applies to the command here, not to what a daemon starts.
    """

    seconds: float = 10.0
    memory_bytes: int | None = 512 * 2**20
    output_bytes: int = 100_000
    file_bytes: int = 16 * 2**20
    wrapper: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    ``ended`` is "finished", "time" (stopped after ``seconds``) or "output" (printed too much);
    ``status`` is the exit status, negative for a signal.
    """

    status: int
    ended: str
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether the program ended by itself with status 0."""
        return self.ended == "finished" and self.status == 0


def run_program(
    command: Sequence[str],
    *,
    files: Mapping[str, bytes | str] | None = None,
    stdin: str = "",
    limits: Limits | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run ``command`` in a new folder that holds ``files``; return within a bounded time.

    The child's environment is ``environment`` and PATH only, so that the grader's secret is not
    inherited. OSError if the command cannot be started; ValueError for a file name that leaves
    the folder.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="answer-") as folder:
        for name, content in (files or {}).items():
            _write(Path(folder), name, content)
        with tempfile.TemporaryFile() as source:
            source.write(stdin.encode("utf-8", "replace"))
            source.seek(0)
            child = subprocess.Popen(  # noqa: S603 (the author's own command)
                [*limits.wrapper, *command],
                cwd=folder,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", os.defpath), **(environment or {})},
                start_new_session=True,
                preexec_fn=partial(_limit, limits),
            )
        try:
            ended, texts = _read(child, limits)
        finally:
            _kill(child)
    stdout, stderr = (bytes(text).decode("utf-8", "replace") for text in texts)
    return Outcome(child.returncode, ended, stdout, stderr)


def _write(folder: Path, name: str, content: bytes | str) -> None:
    path = (folder / name).resolve()
    if folder.resolve() not in path.parents:
        raise ValueError(f"file name {name!r} leaves the folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)


def _limit(limits: Limits) -> None:
    seconds = max(1, round(limits.seconds))
    wanted = {
        resource.RLIMIT_CPU: seconds + 1,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_CORE: 0,
    }
    if limits.memory_bytes is not None and not limits.wrapper:
        wanted[resource.RLIMIT_AS] = limits.memory_bytes
    for kind, value in wanted.items():
        resource.setrlimit(kind, (value, value))


def _read(child: subprocess.Popen[bytes], limits: Limits) -> tuple[str, list[bytearray]]:
    """Read both outputs until the child has closed them, or a limit is reached."""
    texts = [bytearray(), bytearray()]
    deadline = time.monotonic() + limits.seconds
    with selectors.DefaultSelector() as selector:
        for pipe, text in zip((child.stdout, child.stderr), texts, strict=True):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, text)
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(max(0.0, left))
            if not ready or left <= 0:
                return "time", texts
            for key, _ in ready:
                chunk = os.read(key.fd, 65536)
                key.data.extend(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
                if len(key.data) > limits.output_bytes:
                    del key.data[limits.output_bytes :]
                    return "output", texts
    try:
        child.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "time", texts
    return "finished", texts


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End the child and every process of its session, and reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait(timeout=_CLOSE_SECONDS)
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
