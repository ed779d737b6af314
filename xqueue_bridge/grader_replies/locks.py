"""Whose turn it is to deliver to one learner's block, while code that is not ours runs.

Nobody waits for a turn. Who finds it taken leaves the reply as it is; who gives a turn back
looks for such replies. A turn that its holder lost (a killed process) ends by itself.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from django.db import IntegrityError
from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.grader_replies.models import BlockLock
from xqueue_bridge.learner_state.api import in_transaction

#: Longer than a delivery takes; what overruns it is still safe, as a queue key works once.
LOCK_SECONDS = 120


@contextmanager
def turn(user_id: int, usage_key: UsageKey) -> Iterator[bool]:
    """Hold the turn for one place while the block runs; yields False if somebody else has it."""
    place = _place(user_id, usage_key)
    holder = uuid.uuid4().hex
    if not _take(place, holder):
        yield False
        return
    try:
        yield True
    finally:
        ours = BlockLock.objects.filter(place=place, holder=holder)
        in_transaction(ours.delete)  # a deadlock must not make it last until it ends by itself


def retire_locks(user_id: int, usage_keys: Iterable[UsageKey]) -> None:
    """Delete the turns of a learner who is to be forgotten: lost ones would stay for ever."""
    places = [_place(user_id, usage_key) for usage_key in usage_keys]
    BlockLock.objects.filter(place__in=places).delete()


def _place(user_id: int, usage_key: UsageKey) -> str:
    return hashlib.sha256(f"{user_id}:{usage_key}".encode()).hexdigest()


def _take(place: str, holder: str) -> bool:
    now = timezone.now()
    ends = now + timedelta(seconds=LOCK_SECONDS)
    ours = {"holder": holder, "expires_at": ends}
    try:
        in_transaction(partial(BlockLock.objects.create, place=place, **ours))
    except IntegrityError:
        lost = BlockLock.objects.filter(place=place, expires_at__lte=now)
        return bool(in_transaction(partial(lost.update, **ours)))
    return True
