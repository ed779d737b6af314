"""The gateway as the process that operators start, on the test's database."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
#: Seconds after which a process that has not started fails the test.
PATIENCE = 90


@dataclass
class Running:
    """A gateway that serves."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def gateway_process(folder: Path) -> Iterator[Running]:
    """Run ``xqueue_bridge_gateway`` with the test's database and its current XQUEUE_BRIDGE."""
    from django.conf import settings
    from django.db import connection

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    given = [str(connection.settings_dict["NAME"]), settings.XQUEUE_BRIDGE, port]
    log = folder / f"gateway-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(given)],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings_without_capa"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            await_start(port, process, log)
            yield Running(f"http://127.0.0.1:{port}", port, process, log)
        finally:
            process.kill()
            process.wait()


def await_start(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process listens; raise with its log if it ends instead."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"it has not started:\n{log.read_text()}")


def main(text: str) -> None:
    """Run the command in this process."""
    from django.conf import settings

    name, bridge, port = json.loads(text)
    settings.DATABASES["default"]["NAME"] = name
    settings.XQUEUE_BRIDGE = bridge
    settings.LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("xqueue_bridge_gateway", port=port)


if __name__ == "__main__":
    main(sys.argv[1])
