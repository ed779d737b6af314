"""Lock of one learner's block, held while a reply backend runs foreign code.

A process never waits for a lock. If another process holds the lock, the reply is left pending, and
the owner looks for such replies after releasing it. A killed process's lock expires.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from django.db import IntegrityError
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.grader_replies.models import BlockLock

#: Longer than an attempt takes. An attempt that overruns is still safe: a queue key works once.
LOCK_SECONDS = 120


@contextmanager
def block_lock(user_id: int, usage_key: UsageKey) -> Iterator[bool]:
    """Hold the lock of one block while the body runs; yield False if another process holds it."""
    key = _key(user_id, usage_key)
    owner = uuid.uuid4().hex
    if not _take(key, owner):
        yield False
        return
    try:
        yield True
    finally:
        ours = BlockLock.objects.filter(key=key, owner=owner)
        in_transaction(ours.delete)  # retried, else a deadlock would keep the lock until expiry


def retire_locks(user_id: int, usage_keys: Iterable[UsageKey]) -> None:
    """Delete a retired learner's locks: the lock of a killed process would stay in the table."""
    keys = [_key(user_id, usage_key) for usage_key in usage_keys]
    BlockLock.objects.filter(key__in=keys).delete()


def _key(user_id: int, usage_key: UsageKey) -> str:
    return hashlib.sha256(f"{user_id}:{usage_key}".encode()).hexdigest()


def _take(key: str, owner: str) -> bool:
    now = database_now()
    ends = now + timedelta(seconds=LOCK_SECONDS)
    ours = {"owner": owner, "expires_at": ends}
    try:
        in_transaction(partial(BlockLock.objects.create, key=key, **ours))
    except IntegrityError:
        lost = BlockLock.objects.filter(key=key, expires_at__lte=now)
        return bool(in_transaction(partial(lost.update, **ours)))
    return True
