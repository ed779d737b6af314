"""XQueueInterface, which sends a submission and returns the platform's ``(error, msg)``."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.module_loading import import_string

from xqueue_bridge.conf import options
from xqueue_bridge.data import Dispatch
from xqueue_bridge.exceptions import InvalidHeader, XQueueBridgeError
from xqueue_bridge.lms.block import ProblemBlock, course_key
from xqueue_bridge.lms.callback_url import read_dispatch
from xqueue_bridge.xqueue_service import messages
from xqueue_bridge.xqueue_service.headers import MAX_HEADER_CHARS, parse_xheader
from xqueue_bridge.xqueue_service.toggles import use_edx_submissions_for_xqueue
from xqueue_bridge.xqueue_service.transports.base import Transport, check_text, read_files
from xqueue_bridge.xqueue_service.transports.legacy_xqueue import LegacyXQueue, RequestsAuth

log = logging.getLogger(__name__)


class XQueueInterface:
    """Send submissions of one block by the transport of its course.

    All arguments are optional. ``url``, ``django_auth`` and ``requests_auth`` are the legacy
    server's, by default the host's ``XQUEUE_INTERFACE``. ``use_submission_service`` selects the
    transport: True the Submission table, False the legacy server, None (default) the course's
    flag at the time of sending.
    """

    def __init__(
        self,
        url: str | None = None,
        django_auth: Mapping[str, str] | None = None,
        requests_auth: RequestsAuth | None = None,
        block: ProblemBlock | None = None,
        use_submission_service: bool | None = None,
    ) -> None:
        self._legacy = (url, django_auth, requests_auth)
        self._block = block
        self._use_submission_service = use_submission_service

    def send_to_queue(
        self, header: str, body: str, files_to_upload: Iterable[Any] | None = None
    ) -> tuple[int, str]:
        """Send one submission, byte for byte; return ``(0, "<queue length>")``.

        If the submission was not sent, return ``(error, msg)`` with ``error`` not 0 and ``msg``
        plain text for the learner; nothing stays stored. The block then counts an attempt.
        If ``XQUEUE_BRIDGE["SEND_ERROR_CLASS"]`` names an exception class, that exception is raised
        instead for an answer, but not for a trial run, which costs no attempt. For problem blocks,
        ``"xblocks_contrib.problem.capa.responsetypes.ResponseError"`` shows the learner the
        message and keeps the attempts unchanged. No other exception is raised.
        """
        error, msg = self._send(header, body, files_to_upload)
        failure = _failure_class() if error and _costs_an_attempt(header) else None
        if failure is not None:
            raise failure(messages.NOT_CHARGED.format(msg))
        return error, msg

    def _send(self, header: str, body: str, files: Iterable[Any] | None) -> tuple[int, str]:
        try:
            check_text("xqueue_header", header, limit=MAX_HEADER_CHARS)
            check_text("xqueue_body", body, limit=options().MAX_BODY_BYTES)
            uploads = read_files(files)
            return self._transport().send(header, body, uploads)
        except XQueueBridgeError as refusal:
            msg = messages.harmless(str(refusal))
            log.warning("a submission was not sent: %s", msg)
            return 1, msg
        except Exception as exc:  # the platform expects a tuple for every error
            # The exception's message is not logged, because it can quote the learner's work.
            trace = "".join(traceback.format_tb(exc.__traceback__))
            log.error("a submission was not sent: %s\n%s", type(exc).__name__, trace)
            return 1, messages.NOT_STORED

    def _transport(self) -> Transport:
        if not self._goes_to_table():
            return LegacyXQueue(*self._legacy)
        # Imported here because it loads models: blocks may import this module before the app
        # registry is ready.
        from xqueue_bridge.xqueue_service.transports.submissions_table import SubmissionsTable

        return SubmissionsTable(self._block)

    def _goes_to_table(self) -> bool:
        if self._use_submission_service is not None:
            return self._use_submission_service
        return use_edx_submissions_for_xqueue(
            None if self._block is None else course_key(self._block)
        )


def _costs_an_attempt(header: str) -> bool:
    try:
        dispatch = read_dispatch(parse_xheader(header).lms_callback_url)
    except InvalidHeader:
        return True
    return dispatch is Dispatch.SCORE_UPDATE


def _failure_class() -> type[Exception] | None:
    path = options().SEND_ERROR_CLASS
    try:
        return import_string(path) if path else None
    except ImportError:
        log.error('XQUEUE_BRIDGE["SEND_ERROR_CLASS"] cannot be imported: %s', path)
        return None
