"""The reply backend interface, and the backend that the settings select."""

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
    """Apply replies to a learner's state. Made without arguments, used by many threads."""

    #: True: ``record`` changes only the default database, and runs in one transaction with the
    #: update of the reply's status. False: it runs foreign code outside any transaction, one reply
    #: to a learner's block at a time; only the ``save`` that it returns runs in a transaction.
    in_transaction: bool
    #: Seconds after which an applied reply is checked and applied again, if a save by the learner
    #: has overwritten it; None if that cannot happen, or cannot be detected.
    recheck_seconds: float | None

    def record(self, delivery: ReplyToApply) -> ApplyResult:
        """Apply ``delivery`` if the learner's state waits for its queue key.

        A step that cannot be repeated may be returned as ``ApplyResult.save``.

        Raise TransientApplyError or PermanentApplyError; any other exception counts as
        transient.
        """
        ...


def get_reply_backend() -> ReplyBackend:
    """Return the backend that ``XQUEUE_BRIDGE["REPLY_BACKEND"]`` names."""
    name = options().REPLY_BACKEND
    return _load_backend(_OURS.get(name, name))


@lru_cache
def _load_backend(path: str) -> ReplyBackend:
    return import_string(path)()
