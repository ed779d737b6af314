"""What every backend can do, and which one the host has chosen."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from django.utils.module_loading import import_string

from xqueue_bridge.conf import options
from xqueue_bridge.data import ApplyResult, ReplyToApply

_OURS = {
    "state": "xqueue_bridge.grader_replies.backends.student_module.StudentModuleBackend",
    "block": "xqueue_bridge.grader_replies.backends.block.BlockBackend",
    "callback": "xqueue_bridge.grader_replies.backends.callback.CallbackBackend",
}


class ReplyBackend(Protocol):
    """Brings a reply into a learner's state. Made without arguments, used by many threads."""

    #: True: ``record`` touches nothing but our database, and runs in one transaction with the
    #: note that the reply is applied. False: it runs foreign code, outside any transaction,
    #: one delivery to a learner's block at a time; only a save that it returns runs in one.
    in_transaction: bool
    #: Seconds after which a reply that was applied is recorded once more, in case a save of the
    #: learner's undid it meanwhile; None where that cannot happen, or cannot be seen.
    recheck_seconds: float | None

    def record(self, delivery: ReplyToApply) -> ApplyResult:
        """Apply ``delivery`` if the learner's state waits for its queue key.

        What cannot be done a second time may be left to ``ApplyResult.save``.

        Raises TransientApplyError or PermanentApplyError; anything else that it raises
        counts as transient.
        """
        ...


def get_reply_backend() -> ReplyBackend:
    """Return the backend that ``XQUEUE_BRIDGE["REPLY_BACKEND"]`` names."""
    name = options().REPLY_BACKEND
    return _recorder(_OURS.get(name, name))


@lru_cache
def _recorder(path: str) -> ReplyBackend:
    return import_string(path)()
