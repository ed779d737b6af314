"""Run functions in forked processes that may be killed, on the test's own database.

One process, the fork server, sets Django up without opening a database connection. It forks a
process for each call, so that a call needs no set-up of its own.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
#: Seconds after which a forked process is ended; the test fails then.
SECONDS = 90


class ForkServer:
    """Runs functions in forked processes, one at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, function: str, **kwargs: Any) -> int:
        """Call ``function`` (a dotted path) in a forked process and wait until that ends.

        ``kwargs`` are JSON values. The process has the test's current XQUEUE_BRIDGE. Return the
        exit code, or minus the number of the signal that ended the process.
        """
        from django.conf import settings

        assert self._process.stdout
        self.send([settings.XQUEUE_BRIDGE, function, kwargs])
        line = self._process.stdout.readline()
        assert line, "the fork server has ended: see its standard error"
        return int(line)

    def send(self, value: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(SECONDS)


@contextmanager
def fork_server() -> Iterator[ForkServer]:
    """Give the fork server, which has the test's database; the first test that needs it starts it.

    All tests of this process use the same one, because its start takes seconds of CPU time.
    """
    yield _started()


@cache
def _started() -> ForkServer:
    from django.db import connection

    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    opened = ForkServer(process)
    opened.send(str(connection.settings_dict["NAME"]))
    atexit.register(opened.close)
    return opened


def die_at(moment: int, *aliases: str) -> None:
    """Kill this process with SIGKILL at the given moment.

    Moment 1 is before the next SQL statement, 2 after it, 3 before the second statement, and so
    on. Statements to all databases in ``aliases`` count; by default those to "default".
    """
    from django.db import connections

    past = 0

    def pass_moment() -> None:
        nonlocal past
        past += 1
        if past == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def count(execute: Any, *args: Any) -> Any:
        pass_moment()
        result = execute(*args)
        pass_moment()
        return result

    for alias in aliases or ("default",):
        connections[alias].execute_wrappers.append(count)


def die_after_commit(number: int) -> None:
    """Kill this process with SIGKILL after a commit, before anything of its ``on_commit`` runs.

    ``number``: which of the commits that have something to run; 1 is the first.
    """
    from django.db.backends.base.base import BaseDatabaseWrapper

    run, add = BaseDatabaseWrapper.run_and_clear_commit_hooks, BaseDatabaseWrapper.on_commit
    past = 0

    def pass_commit() -> None:
        nonlocal past
        past += 1
        if past == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def die_or_run(self: BaseDatabaseWrapper) -> None:
        # in_transaction() only notes that the commit was reached.
        notes = [getattr(work, "func", None) for _, work, _ in self.run_on_commit]
        if any(getattr(note, "__name__", "") != "append" for note in notes):
            pass_commit()
        run(self)

    def die_or_add(self: BaseDatabaseWrapper, *args: Any, **kwargs: Any) -> None:
        if not self.in_atomic_block:  # one statement, which has committed
            pass_commit()
        add(self, *args, **kwargs)

    BaseDatabaseWrapper.run_and_clear_commit_hooks = die_or_run  # type: ignore[method-assign]
    BaseDatabaseWrapper.on_commit = die_or_add  # type: ignore[method-assign]


def main() -> None:
    exit_codes = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What a process prints must not be read as an exit code.
    import django
    from django.conf import settings
    from django.db import connection
    from django.urls import get_resolver

    database = json.loads(sys.stdin.readline())
    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    assert connection.settings_dict["NAME"] == database
    assert connection.connection is None
    assert get_resolver().url_patterns  # loaded once, and not by each process
    for line in sys.stdin:
        settings.XQUEUE_BRIDGE, function, kwargs = json.loads(line)
        module, _, name = function.rpartition(".")
        work = getattr(import_module(module), name)
        gc.freeze()  # a process that collects garbage would copy all memory of this one
        pid = os.fork() or _run_and_exit(work, kwargs)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=exit_codes, flush=True)


def _run_and_exit(work: Any, kwargs: dict[str, Any]) -> int:
    status = 1
    try:
        signal.alarm(SECONDS)
        work(**kwargs)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
