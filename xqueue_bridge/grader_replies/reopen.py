"""Put a learner's block back into waiting for a reply whose submission had failed."""

from __future__ import annotations

from collections.abc import Callable

from xqueue_bridge.data import Dispatch, ReopenRequest
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.exceptions import PermanentApplyError
from xqueue_bridge.grader_replies.backends.base import (
    ReopeningReplyBackend,
    get_reply_backend,
)
from xqueue_bridge.grader_replies.inbox import is_failure_applied
from xqueue_bridge.grader_replies.locks import block_lock

MOVED_ON = "the learner's state moved on, or its history does not go back so far"
NOT_POSSIBLE = "the learner was told that it failed, and REPLY_BACKEND cannot undo that"
LOCKED = "another process works on the learner's block"


def reopen(
    submission_id: int,
    request: ReopenRequest,
    on_reopened: Callable[[], object],
    *,
    by_callback: bool,
) -> str:
    """Let the learner's state wait for a failed submission's reply again; return "" if it does.

    Else return the reason. ``on_reopened`` is called in the transaction that stores the state.
    ``by_callback``: the reply backend is "callback", whatever the setting says. Call it outside
    any transaction, because a backend may load the block.
    """
    backend = get_reply_backend("callback" if by_callback else None)
    if request.target.dispatch is not Dispatch.SCORE_UPDATE:
        in_transaction(on_reopened)  # the block shows the output of a trial run in any state
        return ""
    if not isinstance(backend, ReopeningReplyBackend):
        if is_failure_applied(submission_id):
            return NOT_POSSIBLE
        in_transaction(on_reopened)
        return ""
    if not backend.needs_block_lock:
        return _reopen(backend, request, on_reopened)
    with block_lock(request.target.user_id, request.target.usage_key) as is_ours:
        return _reopen(backend, request, on_reopened) if is_ours else LOCKED


def _reopen(
    backend: ReopeningReplyBackend, request: ReopenRequest, on_reopened: Callable[[], object]
) -> str:
    try:
        return "" if backend.reopen(request, on_reopened) else MOVED_ON
    except PermanentApplyError as exc:
        return str(exc)
