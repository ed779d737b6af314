"""What every recorder can do, and which one the host has chosen."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from django.utils.module_loading import import_string

from xqueue_bridge.conf import options
from xqueue_bridge.data import Delivery, Recorded

_OURS = {
    "state": "xqueue_bridge.grader_replies.backends.student_module.StateRecorder",
    "block": "xqueue_bridge.grader_replies.backends.block.BlockRecorder",
    "callback": "xqueue_bridge.grader_replies.backends.callback.CallbackRecorder",
}


class Recorder(Protocol):
    """Brings a reply into a learner's state. Made without arguments, used by many threads."""

    #: True: ``record`` touches nothing but our database, and runs in one transaction with the
    #: note that the reply is applied. False: it runs foreign code, outside any transaction,
    #: one delivery to a learner's block at a time; only a save that it returns runs in one.
    in_transaction: bool
    #: Seconds after which a reply that was applied is recorded once more, in case a save of the
    #: learner's undid it meanwhile; None where that cannot happen, or cannot be seen.
    recheck_seconds: float | None

    def record(self, delivery: Delivery) -> Recorded:
        """Apply ``delivery`` if the learner's state waits for its queue key.

        What cannot be done a second time may be left to ``Recorded.save``.

        Raises TransientDeliveryError or PermanentDeliveryError; anything else that it raises
        counts as transient.
        """
        ...


def get_recorder() -> Recorder:
    """Return the recorder that ``XQUEUE_BRIDGE["RECORDER"]`` names."""
    name = options().RECORDER
    return _recorder(_OURS.get(name, name))


@lru_cache
def _recorder(path: str) -> Recorder:
    return import_string(path)()
