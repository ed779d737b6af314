"""XQueueInterface, which sends a submission and returns the platform's ``(error, msg)``."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import translation
from django.utils.module_loading import import_string

from xqueue_bridge.conf import options
from xqueue_bridge.data import Dispatch, XHeader
from xqueue_bridge.exceptions import InvalidHeader, LimitExceeded, XQueueBridgeError
from xqueue_bridge.http_client import Auth
from xqueue_bridge.lms.block import ProblemBlock, course_key
from xqueue_bridge.lms.callback_url import read_dispatch
from xqueue_bridge.log_fields import LogFields, named
from xqueue_bridge.protocol.headers import parse_xheader
from xqueue_bridge.tracing import traced
from xqueue_bridge.xqueue_service import messages
from xqueue_bridge.xqueue_service.submission_filter import filter_submission
from xqueue_bridge.xqueue_service.toggles import use_edx_submissions_for_xqueue
from xqueue_bridge.xqueue_service.transports.base import Transport, check_body, read_files
from xqueue_bridge.xqueue_service.transports.legacy_xqueue import LegacyXQueue

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
        requests_auth: Auth | None = None,
        block: ProblemBlock | None = None,
        use_submission_service: bool | None = None,
    ) -> None:
        self._legacy = (url, django_auth, requests_auth)
        self._block = block
        self._use_submission_service = use_submission_service

    @traced("send")
    def send_to_queue(
        self, header: str, body: str, files_to_upload: Iterable[object] | None = None
    ) -> tuple[int, str]:
        """Send one submission, byte for byte; return ``(0, "<queue length>")``.

        If the submission was not sent, return ``(error, msg)`` with ``error`` not 0 and ``msg``
        plain text for the learner; nothing stays stored. The block then counts an attempt.
        If ``XQUEUE_BRIDGE["SEND_ERROR_CLASS"]`` names an exception class, that exception is raised
        instead for an answer, but not for a trial run, which costs no attempt. For problem blocks,
        ``"xblocks_contrib.problem.capa.responsetypes.ResponseError"`` shows the learner the
        message and keeps the attempts unchanged. No other exception is raised.
        """
        parsed, msg, advice = None, "", messages.TRY_AGAIN
        try:
            parsed = parse_xheader(header)
            checked = check_body(body)
            files = read_files(files_to_upload)
            parsed, checked = filter_submission(parsed, checked, files, self._block)
            error, msg = self._transport().send(parsed, checked, files)
        except XQueueBridgeError as refusal:
            if isinstance(refusal, LimitExceeded):
                advice = messages.CHANGE_ANSWER
            error, msg = 1, messages.harmless(str(refusal))
            with translation.override("en"):
                reason = messages.harmless(str(refusal))
            extra = self._log_fields(parsed)
            log.warning(
                "A submission was not sent: %s (%s)",
                reason,
                named(extra) or "queue unknown",
                extra=extra,
            )
        except Exception as exc:  # the platform expects a tuple for every error
            # The exception's message is not logged, because it can quote the learner's work.
            trace = "".join(traceback.format_tb(exc.__traceback__))
            extra, kind = self._log_fields(parsed), type(exc).__name__
            text = "A submission was not sent: %s (%s)\n%s"
            log.error(text, kind, named(extra) or "queue unknown", trace, extra=extra)
            error, msg = 1, str(messages.NOT_STORED)
        failure = _failure_class() if error and _costs_an_attempt(parsed) else None
        if failure is not None:
            raise failure(str(advice).format(msg))
        return error, msg

    def _transport(self) -> Transport:
        uses_table = self._use_submission_service
        if uses_table is None:
            course = None if self._block is None else course_key(self._block)
            uses_table = use_edx_submissions_for_xqueue(course, legacy_url=self._legacy[0])
        if not uses_table:
            return LegacyXQueue(*self._legacy)
        # Imported here because it loads models: blocks may import this module before the app
        # registry is ready.
        from xqueue_bridge.xqueue_service.transports.submissions_table import SubmissionsTable

        return SubmissionsTable(self._block)

    def _log_fields(self, header: XHeader | None) -> LogFields:
        """Return queue, learner id and block of a submission, as far as they are known."""
        known = LogFields()
        if header is not None:
            known["queue_name"] = header.queue_name
        if self._block is not None:
            scope_ids: Any = getattr(self._block, "scope_ids", None)
            known["user_id"] = getattr(scope_ids, "user_id", None)
            known["usage_key"] = getattr(scope_ids, "usage_id", None)
        return known


def _costs_an_attempt(header: XHeader | None) -> bool:
    if header is None:
        return True
    try:
        return read_dispatch(header.lms_callback_url) is Dispatch.SCORE_UPDATE
    except InvalidHeader:
        return True


def _failure_class() -> type[Exception] | None:
    path = options().SEND_ERROR_CLASS
    try:
        return import_string(path) if path else None
    except ImportError:
        log.error('XQUEUE_BRIDGE["SEND_ERROR_CLASS"] cannot be imported: %s', path)
        return None
