"""The grader's command line: ``python -m demo.grader --url URL --queue NAME``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from demo.grader import sandbox
from demo.grader.client import XQueueClient
from demo.grader.worker import Worker
from xqueue_bridge.worker.stop_signals import StopSignals


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo.grader",
        description="Pull submissions from an XQueue, run them, and hand in their grades.",
        epilog="The name to log in with is in XQUEUE_GRADER_NAME, the secret in "
        "XQUEUE_GRADER_SECRET or in the file that XQUEUE_GRADER_SECRET_FILE names.",
    )
    parser.add_argument("--url", required=True, help="where /xqueue/ is: http://lms.example.com")
    parser.add_argument("--queue", action="append", required=True, help="may be given repeatedly")
    parser.add_argument("--poll", type=float, default=1.0, help="seconds between looks (1)")
    return parser.parse_args()


def _credentials() -> tuple[str, str]:
    """Return name and secret. A command line is no place for them: everyone can read it."""
    name = os.environ.get("XQUEUE_GRADER_NAME", "")
    # Taken out of the environment, which every child process would inherit.
    secret = os.environ.pop("XQUEUE_GRADER_SECRET", "")
    if not secret and (file := os.environ.get("XQUEUE_GRADER_SECRET_FILE")):
        secret = Path(file).read_text(encoding="utf-8").strip()
    if not name or not secret:
        sys.exit("Set XQUEUE_GRADER_NAME, and XQUEUE_GRADER_SECRET or XQUEUE_GRADER_SECRET_FILE.")
    return name, secret


def main() -> int:
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="grader: %(message)s")
    client = XQueueClient(arguments.url, *_credentials())
    with StopSignals() as stop:
        logging.getLogger("demo.grader").info(sandbox.describe())
        return Worker(client, arguments.queue, arguments.poll, stop).run()


if __name__ == "__main__":
    sys.exit(main())
