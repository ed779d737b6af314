"""Responses of the XQueue protocol, and the renderer and the exception handler that make them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from xqueue_bridge.data import PulledSubmission
from xqueue_bridge.exceptions import InvalidField
from xqueue_bridge.protocol.codes import MEANINGS, Code
from xqueue_bridge.protocol.reply_warnings import (
    CODE_HEADER,
    WARNINGS_HEADER,
    ReplyWarning,
    warnings_header,
)
from xqueue_bridge.worker.enqueue import run_later

#: Header that names the invalid field; the envelope must hold the protocol's exact words.
PROBLEM_HEADER = "X-XQueue-Problem"


class EnvelopeRenderer(BaseRenderer):
    """DRF renderer that puts a response's data into an envelope.

    ``return_code`` is 1 for a response whose attribute ``exception`` is true: DRF sets it on what
    an exception handler returns. DRF's JSONRenderer would write other bytes.
    """

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        failed = renderer_context is not None and renderer_context["response"].exception
        return json.dumps({"return_code": int(failed), "content": data}).encode()


class Envelope(Response):
    """DRF response with status 200, for success and for failure.

    ``jobs`` run after the response has been sent.
    """

    #: Of the response to a pull, for the gateway: the queue's name if it was empty, and who has
    #: pulled; or what was leased.
    empty_queue = ""
    grader_id: int | None = None
    pulled: PulledSubmission | None = None

    def __init__(self, content: object = "", *, failed: bool = False, problem: str = "") -> None:
        super().__init__(content, exception=failed)
        # Views outside of DRF may return it, too; DRF sets these attributes again.
        self.accepted_renderer = EnvelopeRenderer()
        self.accepted_media_type = EnvelopeRenderer.media_type
        self.renderer_context: dict[str, object] = {}
        if problem:
            self[PROBLEM_HEADER] = problem
        self.jobs: list[Callable[[], object]] = []

    def close(self) -> None:
        # Before Django sends request_finished and closes its database connections.
        run_later(self.jobs)
        super().close()


def success(content: object = "", *, warnings: Sequence[ReplyWarning] = ()) -> Envelope:
    """Return the envelope of a successful request; a header has the warnings."""
    response = Envelope(content)
    if warnings:
        response[WARNINGS_HEADER] = warnings_header(warnings)
    return response


def failure(content: str, error: object = None, code: str = "") -> Envelope:
    """Return the envelope of a failed request; headers have the code and the field at fault.

    ``error`` is an InvalidField, if there is one.
    """
    problem = "" if error is None else str(error)
    if isinstance(error, InvalidField):
        code = code or error.code
    elif code in MEANINGS:
        meaning = MEANINGS[Code(code)]
        problem = f"{meaning.field}: {meaning.text}"
    response = Envelope(content, failed=True, problem=problem)
    if code:
        response[CODE_HEADER] = code
    return response
