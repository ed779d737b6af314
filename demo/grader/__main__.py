"""The grader's command line: ``python -m demo.grader --url URL --queue NAME``."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from typing import Any

from demo.grader import sandbox
from demo.grader.grading import grade_submission
from xqueue_bridge.grader import Config, Submission, run

#: Seconds that the current submission may take after SIGTERM.
STOP_SECONDS = 3.0


def main() -> int:
    """Grade until SIGTERM; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.grader",
        description="Pull submissions from an XQueue, run them, and send their results.",
        epilog="The name to log in with is in XQUEUE_GRADER_NAME, the secret in "
        "XQUEUE_GRADER_SECRET or in the file that XQUEUE_GRADER_SECRET_FILE names.",
    )
    parser.add_argument("--url", required=True, help="the site: http://lms.example.com")
    parser.add_argument("--queue", action="append", required=True, help="can be repeated")
    parser.add_argument("--poll", type=float, default=1.0, help="seconds between polls (1)")
    parser.add_argument("--seconds", type=float, default=0.0, help="wait before each result (0)")
    arguments = parser.parse_args()
    try:
        config = Config.from_environment(
            url=arguments.url,
            queues=arguments.queue,
            poll_seconds=arguments.poll,
            stop_seconds=STOP_SECONDS,
        )
    except ValueError as exc:
        parser.exit(1, f"{exc}\n")
    name = f"grader of {', '.join(arguments.queue)}"
    logging.basicConfig(level=logging.INFO, format=f"{name}: %(message)s")
    logging.getLogger("demo.grader").info(sandbox.describe())

    def grade_slowly(submission: Submission) -> dict[str, Any]:
        time.sleep(arguments.seconds)
        return grade_submission(submission)

    return run(grade_slowly, config)


if __name__ == "__main__":
    sys.exit(main())
