"""``make demo``: a site with the bridge, learners, and a grader, on this machine.

make demo                                   runs until Ctrl-C; keeps demo/var
make demo ARGS="--learners 30 --exit"       thirty learners submit; exit code 0 on success
make demo ARGS="--two-databases"            stores learners' history in another database
make demo ARGS="--no-grader"                leaves the answers to a grader of your own
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from demo.grader import sandbox
from xqueue_bridge.worker.stop_signals import StopSignals

HOST = "127.0.0.1"
PORT = 8800
QUEUE = "demo"
GRADER = "demo-grader"
#: Seconds that the children have to end by themselves.
CHILD_SECONDS = 1.0
ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    arguments = _arguments()
    # A supervisor, and a terminal that is closed, stop the demo as Ctrl-C does. The children have
    # sessions of their own, so these signals reach only this process.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handled = [n for n in numbers if signal.getsignal(n) != signal.SIG_IGN]  # nohup
    children = Children()
    signals = StopSignals(handled, interrupt=True, before_exit=children.kill)
    # The exception can be raised as soon as the handlers are set, and until they are restored.
    try:
        with signals as stop, contextlib.ExitStack() as until_the_end:
            until_the_end.callback(children.stop)
            return _demo(arguments, until_the_end, children, stop)
    except KeyboardInterrupt:
        print("\nStopping.")
        return 1 if arguments.exit else 0


class Children:
    """The programs that run beside this one."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    def add(self, child: subprocess.Popen[str]) -> None:
        self._running.append(child)

    def all_run(self) -> bool:
        return all(child.poll() is None for child in self._running)

    def stop(self) -> None:
        """Ask all to end, and kill those that have not ended after CHILD_SECONDS."""
        for child in self._running:
            child.terminate()
        deadline = time.monotonic() + CHILD_SECONDS
        for child in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        for child in self._running:
            child.kill()
        for child in self._running:
            child.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo ARGS=...", description=__doc__.split("\n")[0])
    parser.add_argument("--learners", type=int, default=8, help="how many there are (8)")
    parser.add_argument("--port", type=int, default=PORT, help=f"if taken: a free one ({PORT})")
    parser.add_argument(
        "--exit",
        action="store_true",
        help="let the learners answer, wait for their grades, check each of them, and exit",
    )
    parser.add_argument("--wait", type=float, default=120, help="for grades, in seconds (120)")
    parser.add_argument(
        "--two-databases",
        action="store_true",
        help="keep learners' history in a database of its own: demo/var/history.sqlite3",
    )
    parser.add_argument(
        "--no-grader", action="store_true", help="start no grader; print how to start your own"
    )
    arguments = parser.parse_args()
    if arguments.no_grader and arguments.exit:
        parser.error("--no-grader: with --exit the demo needs its own grader")
    if not 1 <= arguments.learners <= 1000:
        parser.error("--learners: between 1 and 1000")
    return arguments


def _demo(
    arguments: argparse.Namespace,
    until_the_end: contextlib.ExitStack,
    children: Children,
    stop: StopSignals,
) -> int:
    if arguments.exit:
        folder = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="demo-"))
        os.environ["XQUEUE_BRIDGE_DEMO_VAR"] = folder
        # The last to be removed: the children write into it.
        until_the_end.callback(children.stop)
    if arguments.two_databases:
        os.environ["XQUEUE_BRIDGE_DEMO_TWO_DATABASES"] = "1"
    port = free_port(arguments.port)
    if arguments.port not in (0, port):
        print(f"Port {arguments.port} is in use; the demo uses {port}.")
    url = f"http://{HOST}:{port}"
    os.environ["XQUEUE_BRIDGE_DEMO_URL"] = url
    secret, learners = _set_up(arguments.learners)
    slow_secret = "" if arguments.exit else _seed_week()
    until_the_end.enter_context(_web_server(port))
    poll = "0.1" if arguments.exit else "0.5"
    grader = ["-m", "demo.grader", "--url", url, "--queue", QUEUE, "--poll", poll]
    sweeper = ["manage.py", "xqueue_bridge_sweep", "--forever"]
    programs = [("sweeper", sweeper, "", "")]
    if not arguments.no_grader:
        programs.append(("grader", grader, GRADER, secret))
    if slow_secret:
        slow = ["-m", "demo.grader", "--url", url, "--queue", "slow", "--seconds", "20"]
        programs.append(("slow", slow, "slow-grader", slow_secret))
    for name, command, account, text in programs:
        with stop.deferred():
            child = _start(name, command, quiet=arguments.exit, account=account, secret=text)
            children.add(child)
    if arguments.exit:
        print(sandbox.describe())
        from demo.load_test import Cohort

        status = Cohort(url, learners, arguments.wait).run()
        if status:
            _print_log()
        return status
    print_addresses(url)
    if arguments.no_grader:
        _print_own_grader(url, secret)
    while children.all_run():
        time.sleep(0.5)
    print("A part of the demo has ended by itself; stopping the others.", file=sys.stderr)
    return 1


def _set_up(how_many: int) -> tuple[str, list[Any]]:
    """Migrate the database, import the course, create the users; return the grader's secret."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "demo.settings"
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from demo.course import course
    from demo.seed import seed

    for alias in settings.DATABASES:
        call_command("migrate", database=alias, verbosity=0)
    learners = seed(how_many)
    print(f"{course().title}: {len(course().problems)} problems, {len(learners)} learners")
    return _grader_secret(GRADER, QUEUE), learners


def _seed_week() -> str:
    """Store a week of history once; return the secret of the slow queue's grader."""
    from demo import week

    # That a grader was paused a week ago is a part of the history, and not of this start.
    logging.disable(logging.ERROR)
    try:
        is_new = week.seed_week(GRADER, QUEUE)
    finally:
        logging.disable(logging.NOTSET)
    if is_new:
        print(f"A week of history: {week.CLASSMATES} classmates with grades")
    return _grader_secret(week.GRADERS[week.SLOW], week.SLOW)


def _grader_secret(name: str = GRADER, queue_name: str = QUEUE) -> str:
    """Create the grader, or give the one of an earlier run a new secret.

    That run may still go on, beside us on another port: its secret works for another day.
    """
    from xqueue_bridge.models import Grader
    from xqueue_bridge.submission_queue import api as submission_queue

    grader = Grader.objects.filter(name=name).first()
    if grader is None:
        return submission_queue.create_grader(name, [queue_name])
    return submission_queue.issue_secret(grader, overlap=timedelta(days=1))


def free_port(wanted: int) -> int:
    """Return the wanted port, or a free one if something listens there already."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return probe.getsockname()[1]
    raise SystemExit(f"There is no free port on {HOST}.")


@contextlib.contextmanager
def _web_server(port: int) -> Iterator[None]:
    from demo.server import bind

    server = bind(HOST, port)
    threading.Thread(target=server.serve_forever, name="web", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _start(
    name: str, command: list[str], *, quiet: bool, account: str, secret: str
) -> subprocess.Popen[str]:
    """Start a program beside this one. ``quiet``: its output goes to a file."""
    from demo.settings import VAR

    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if secret:
        # Through a pipe: the programs that it runs could read a file or the environment.
        environment |= {"XQUEUE_GRADER_NAME": account, "XQUEUE_GRADER_SECRET_FILE": "/dev/stdin"}
    log = (VAR / f"{name}.log").open("w") if quiet else None
    child = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        # Ctrl-C in the terminal reaches only this process, which stops the others.
        start_new_session=True,
        text=True,
    )
    if log:
        log.close()  # the child has its own
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin:
        child.stdin.write(secret)
    return child


def print_addresses(url: str) -> None:
    from django.urls import reverse

    from demo.course import course

    team = reverse("xqueue_bridge:submissions", args=[course().key])
    print(
        f"""
    First page   {url}{reverse("choose")}   (says what there is; no passwords)
    Learners     {url}{reverse("home")}
    Course team  {url}{team}   (choose "Tessa Brandt")
    Operator     {url}{reverse("xqueue_bridge:queues")}   (choose "Operator")
    Graders      server {url}, queue "{QUEUE}": docs/quickstarts/grader.rst connects yours

Ctrl-C stops it all.""",
        flush=True,
    )


def _print_own_grader(url: str, secret: str) -> None:
    """Write the secret into a file, and print the command that starts a grader with it."""
    from demo.settings import VAR

    path = VAR / "grader.secret"
    path.touch(mode=0o600)
    path.write_text(f"{secret}\n", encoding="utf-8")
    print(
        f"""
No grader runs. Start yours in another terminal:

    export XQUEUE_GRADER_NAME={GRADER} XQUEUE_GRADER_SECRET_FILE={path}
    xqueue-grader run my_grader.py --url {url} --queue {QUEUE}""",
        flush=True,
    )


def _print_log() -> None:
    """Print the end of the web server's log, whose folder is deleted when the demo exits."""
    from demo.settings import VAR

    with contextlib.suppress(FileNotFoundError):
        lines = (VAR / "demo.log").read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join(["demo.log ends with:", *lines[-60:]]), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
