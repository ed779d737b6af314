"""Client library for grader authors: write ``grade(submission) -> Result``, and ``run`` it.

Works with every XQueue server. Depends on ``requests`` only: nothing here imports Django.
"""

from xqueue_bridge.grader.client import (
    LoginRefused,
    QueueClient,
    QueueUnavailable,
    RequestRefused,
    Submission,
    XQueueError,
)
from xqueue_bridge.grader.programs import Limits, Outcome, run_program
from xqueue_bridge.grader.results import Result, Test
from xqueue_bridge.grader.run import Config, run

__all__ = [
    "Config",
    "Limits",
    "LoginRefused",
    "Outcome",
    "QueueClient",
    "QueueUnavailable",
    "RequestRefused",
    "Result",
    "Submission",
    "Test",
    "XQueueError",
    "run",
    "run_program",
]
