"""Processes that may be killed under way, on the test's own database.

One process sets Django up, which takes a while, and opens no connection. It forks one process
after the other from that, so each of them is as good as new and costs next to nothing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
#: A process that has not ended by then is ended, and fails its test.
SECONDS = 90


class Nursery:
    """Brings up processes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, function: str, **kwargs: Any) -> int:
        """Call ``function``, by its dotted path, in a process of its own, and wait for the end.

        Return its exit code, or minus the signal that ended it. Arguments are JSON values.
        """
        assert self._process.stdout
        self.tell([function, kwargs])
        line = self._process.stdout.readline()
        assert line, "the nursery has ended: see its standard error"
        return int(line)

    def tell(self, value: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Open a nursery with the database and the options that hold for the test now."""
    from django.conf import settings
    from django.db import connection

    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        opened = Nursery(process)
        opened.tell([str(connection.settings_dict["NAME"]), settings.XQUEUE_BRIDGE])
        try:
            yield opened
        finally:
            assert process.stdin
            process.stdin.close()


def die_at(moment: int, *aliases: str) -> None:
    """Have this process killed, as by ``kill -9``.

    Moment 1 is before its next statement, 2 after that, 3 before the one behind it, and so on;
    statements of all the databases named, or of the default one.
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


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a process prints is no answer
    import django
    from django.conf import settings
    from django.db import connection

    database, options = json.loads(sys.stdin.readline())
    settings.DATABASES["default"]["NAME"] = database
    settings.XQUEUE_BRIDGE = options
    django.setup()
    assert connection.settings_dict["NAME"] == database
    assert connection.connection is None
    for line in sys.stdin:
        function, kwargs = json.loads(line)
        module, _, name = function.rpartition(".")
        work = getattr(import_module(module), name)
        pid = os.fork() or _live(work, kwargs)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _live(work: Any, kwargs: dict[str, Any]) -> int:
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
