"""Responses of the XQueue protocol."""

from __future__ import annotations

import json
from collections.abc import Callable

from django.http import HttpResponse

from xqueue_bridge.worker import after_response

#: Header that names the invalid field; the envelope must hold the protocol's exact words.
PROBLEM_HEADER = "X-XQueue-Problem"


class Envelope(HttpResponse):
    """``{"return_code": 0 | 1, "content": ...}`` with status 200, also for errors.

    ``jobs`` run after the response has been sent.
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
        # Before Django sends request_finished and closes its database connections.
        after_response.run_jobs(self.jobs)
        super().close()


def success(content: object = "") -> Envelope:
    """Return the envelope of a successful request."""
    return Envelope(0, content)


def failure(content: str, problem: object = None) -> Envelope:
    """Return the envelope of a failed request; ``problem`` names the invalid field."""
    return Envelope(1, content, problem="" if problem is None else str(problem))
