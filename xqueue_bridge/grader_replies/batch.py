"""Apply stored replies of many learners in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest

from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.data import ApplyResult, ReplyToApply
from xqueue_bridge.grader_replies import queries, retry
from xqueue_bridge.grader_replies.backends.base import BatchReplyBackend
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.tracing import traced

#: Replies in one transaction; it locks as many rows of learner state until its end.
BATCH_SIZE = 50
#: Characters of feedback in one transaction.
BATCH_CHARACTERS = 4_000_000

log = logging.getLogger(__name__)


def apply_in_batches(reply_ids: Collection[int], backend: BatchReplyBackend) -> set[int]:
    """Apply those of the replies that can be applied together; return their ids.

    The caller attempts the others alone. Replies to one learner's block are applied in the order
    of their ids, each in a transaction of its own.
    """
    loaded = queries.with_submission().filter(queries.may_be_attempted(), pk__in=reply_ids)
    replies = [reply for reply in loaded.order_by("pk") if _can_be_applied(reply)]
    applied: set[int] = set()
    for batch in _batches(replies):
        if len(batch) > 1:
            applied |= _apply_together(batch, backend)
    return applied


def _can_be_applied(reply: ReceivedReply) -> bool:
    is_regrade = reply.submission.regrade_of is not None  # its backend is another one
    return bool(reply.message) and not reply.is_replaced and not is_regrade


def _batches(replies: Sequence[ReceivedReply]) -> Iterator[list[ReceivedReply]]:
    """Split replies into batches with one reply to a learner's block at most."""
    by_block: dict[tuple[int, UsageKey], list[ReceivedReply]] = {}
    for reply in replies:
        submission = reply.submission
        by_block.setdefault((submission.user_id, submission.usage_key), []).append(reply)
    for nth_of_each_block in zip_longest(*by_block.values()):
        batch: list[ReceivedReply] = []
        characters = 0
        for reply in filter(None, nth_of_each_block):
            characters += len(reply.message)
            if batch and (len(batch) == BATCH_SIZE or characters > BATCH_CHARACTERS):
                yield batch
                batch, characters = [], len(reply.message)
            batch.append(reply)
        yield batch


@traced("apply_batch")
def _apply_together(batch: Sequence[ReceivedReply], backend: BatchReplyBackend) -> set[int]:
    to_apply: list[ReplyToApply] = []

    def on_applied(results: Sequence[ApplyResult]) -> None:
        pairs = zip(batch, results, strict=True)
        applied = [(reply, result) for reply, result in pairs if result.applied]
        if applied:
            retry.mark_applied(applied)

    try:
        for reply in batch:
            reply.attempts += 1
            to_apply.append(queries.reply_to_apply(reply))
        results = backend.apply_batch(to_apply, on_applied)
    except Exception as exc:  # one reply may be at fault; each is attempted alone
        log.warning("A batch of %s replies was not applied: %s", len(batch), type(exc).__name__)
        return set()
    applied = set()
    for reply, result in zip(batch, results, strict=True):
        if result.applied:
            applied.add(reply.pk)
            retry.log_applied(reply)
    return applied
