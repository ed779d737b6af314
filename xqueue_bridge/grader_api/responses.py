"""What every answer of the XQueue protocol looks like."""

from __future__ import annotations

import json
from collections.abc import Callable

from django.http import HttpResponse

from xqueue_bridge.worker import after_response

#: Names the field at fault; the envelope itself must hold the protocol's exact words.
PROBLEM_HEADER = "X-XQueue-Problem"


class Envelope(HttpResponse):
    """``{"return_code": 0 | 1, "content": ...}`` with status 200, errors included.

    ``jobs`` run after the bytes were sent.
    """

    def __init__(self, return_code: int, content: object, *, problem: str = "") -> None:
        super().__init__(
            json.dumps({"return_code": return_code, "content": content}),
            content_type="application/json",
        )
        if problem:
            self[PROBLEM_HEADER] = problem
        self.jobs: list[Callable[[], object]] = []

    def close(self) -> None:
        # Before Django is told that the request is over, and closes its connections.
        after_response.run_jobs(self.jobs)
        super().close()


def success(content: object = "") -> Envelope:
    """Return the envelope of a request that did what it was asked."""
    return Envelope(0, content)


def failure(content: str, problem: object = None) -> Envelope:
    """Return the envelope of a request that did not; ``problem`` names the field at fault."""
    return Envelope(1, content, problem="" if problem is None else str(problem))
