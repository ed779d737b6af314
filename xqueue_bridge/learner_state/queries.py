"""Querysets of StudentModule rows that do not parse the rows' keys."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db.models import CharField, ExpressionWrapper, F, QuerySet
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.learner_state.block_keys import BlockKey
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.lms.keys import has_run


@cache
def with_key_text() -> QuerySet[Any]:
    """Return all rows, with the texts of their keys as ``context`` and ``usage``.

    Parsing keys takes longer than the query.
    """
    return StudentModule.objects.annotate(
        context=ExpressionWrapper(F("course_id"), output_field=CharField()),
        usage=ExpressionWrapper(F("module_state_key"), output_field=CharField()),
    )


def rows_at(key: BlockKey) -> QuerySet[Any]:
    """Return all learners' rows at a block key, with the texts of their keys."""
    rows = with_key_text().filter(usage=key.usage)
    # Deprecated keys are stored alike in all runs; other keys contain their context.
    is_unique = has_run(UsageKey.from_string(key.usage))
    return rows if is_unique else rows.filter(context=key.context)
