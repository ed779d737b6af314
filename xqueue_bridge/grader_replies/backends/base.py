"""The reply backend interface, the backend that the settings select, and the points of a reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol, TypeAlias, runtime_checkable

from django.utils.module_loading import import_string

from xqueue_bridge.conf import options
from xqueue_bridge.data import ApplyResult, GraderReply, ReopenRequest, ReplyToApply

_OURS = {
    "state": "xqueue_bridge.grader_replies.backends.student_module.StudentModuleBackend",
    "block": "xqueue_bridge.grader_replies.backends.block.BlockBackend",
    "callback": "xqueue_bridge.grader_replies.backends.callback.CallbackBackend",
    # Replies to regrades. It uses the backend of REPLY_BACKEND.
    "regrade": "xqueue_bridge.regrading.backend.RegradeReplyBackend",
}

#: Marks the reply as applied. A backend calls it in the transaction that stores the learner's
#: state, so that a killed process leaves both or neither.
OnApplied: TypeAlias = Callable[[ApplyResult], None]

#: Gets the points that the learner has now and would have, and returns why the reply does not
#: count; "": it counts. Called under the lock of the learner's state.
Refusal: TypeAlias = Callable[[float, float], str]


class ReplyBackend(Protocol):
    """Apply replies to a learner's state. Made without arguments, used by many threads."""

    #: True: ``apply`` runs foreign code, so it gets one reply to a learner's block at a time.
    #: False: ``apply`` itself locks what it changes.
    needs_block_lock: bool
    #: Seconds after which an applied reply is checked and applied again, if a save by the learner
    #: has overwritten it; None if that cannot happen, or cannot be detected.
    recheck_seconds: float | None
    #: True: the learner's state is in our table ``StudentModule``. False: it is stored elsewhere,
    #: and only the backend can read it.
    state_is_ours: bool

    def apply(self, to_apply: ReplyToApply, on_applied: OnApplied) -> ApplyResult:
        """Apply a reply if the learner's state waits for its queue key, and return the result.

        Called outside any transaction. If the reply is applied, call ``on_applied`` with the result
        in the transaction that stores the state; foreign code runs before that transaction.

        Raise TransientApplyError or PermanentApplyError; any other exception counts as
        transient.
        """
        ...


@runtime_checkable
class BatchReplyBackend(Protocol):
    """A reply backend that can apply replies to several blocks in one transaction."""

    def apply_batch(
        self,
        batch: Sequence[ReplyToApply],
        on_applied: Callable[[Sequence[ApplyResult]], None],
    ) -> list[ApplyResult]:
        """Apply a batch that has one reply to a learner's block at most; return one result each.

        Call ``on_applied`` with all results, in the order of the batch, in the transaction that
        stores the states. After an exception nothing is stored, and the caller applies the
        replies one by one; so it does with those that are not applied.
        """
        ...


@runtime_checkable
class ReopeningReplyBackend(Protocol):
    """A reply backend that can let a learner's state wait again for a reply that has failed."""

    def reopen(self, request: ReopenRequest, on_reopened: Callable[[], object]) -> bool:
        """Let the state wait for the request's queue key; return False if it cannot.

        False: the learner has answered again, or the state that waited is not known. Else call
        ``on_reopened`` in the transaction that stores the state; its exception rolls back.
        """
        ...


@runtime_checkable
class RegradeBackend(Protocol):
    """A reply backend that can replace the grade of an answer that does not wait for a reply."""

    needs_block_lock: bool

    def apply_regrade(
        self, to_apply: ReplyToApply, answer_id: str, refusal: Refusal, on_applied: OnApplied
    ) -> ApplyResult:
        """Replace points and feedback of one answer, and return the result.

        Nothing is changed, and the result has a ``refusal``, if the state does not have the
        answer, if it waits for another queue key than the reply's, or if ``refusal`` says so.
        ``on_applied`` is called as by ``apply``.
        """
        ...


def get_reply_backend(name: str | None = None) -> ReplyBackend:
    """Return a backend by its name; default: the one in ``XQUEUE_BRIDGE["REPLY_BACKEND"]``."""
    name = name or options().REPLY_BACKEND
    return _load_backend(_OURS.get(name, name))


def reads_state() -> bool:
    """Return whether this process can tell what a learner's state waits for."""
    return isinstance(get_reply_backend(), ReopeningReplyBackend)


@lru_cache
def _load_backend(path: str) -> ReplyBackend:
    return import_string(path)()


def refused(reason: str) -> ApplyResult:
    """Return the result of a regrade that changes nothing."""
    return ApplyResult(applied=False, refusal=reason)


NO_ANSWER = refused("the learner's state does not have this answer")
ANSWERED_AGAIN = refused("the learner has answered again")


def with_mark(reply: GraderReply, points: float, maximum: float | None) -> GraderReply:
    """Return the reply as correct if it has all points; "incorrect" beside them would be wrong."""
    has_all_points = maximum is not None and 0 < maximum <= points
    return replace(reply, correct=True) if has_all_points else reply


def points_of(reply: GraderReply, maximum: float | None, *, is_fraction: bool) -> float:
    """Return the points of ``reply``, clamped to 0..``maximum`` (None: not known).

    With points above the maximum, capa could not load the learner's state. Integers stay integers.
    """
    score = reply.score
    if maximum is None:
        return max(score, 0)
    if is_fraction:
        score *= maximum
    return min(score, maximum) if score > 0 else 0
