"""A problem block with the attributes that XQueueService reads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opaque_keys.edx.keys import UsageKey
from xblock.fields import ScopeIds

USAGE_KEY = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@sums")
ANSWER_ID = "i4x-DemoX-CS101-problem-sums_2_1"


def problem_block(
    usage_key: UsageKey = USAGE_KEY, user_id: Any = 7, points: float | None = None
) -> Any:
    """Return a block; with ``points``, a capa problem with one input worth that many points."""
    block = SimpleNamespace(scope_ids=ScopeIds(user_id, "problem", usage_key, usage_key))
    if points is not None:
        responder = SimpleNamespace(maxpoints={ANSWER_ID: points}, update_score=None)
        block.lcp = SimpleNamespace(responders={"response": responder})
    return block
