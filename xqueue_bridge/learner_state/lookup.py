"""Look-up of a learner and of what the learner's state at a block waits for."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.db.models import Exists, Subquery
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.learner_state.encoding import decode
from xqueue_bridge.learner_state.models import RetiredLearner, StudentModule
from xqueue_bridge.lms.capa import waiting_keys


@dataclass(frozen=True, slots=True)
class LearnerAtBlock:
    """Whether a learner exists or is retired, and the queue keys that the state waits for."""

    exists: bool
    is_retired: bool
    waiting_keys: frozenset[str] = frozenset()


def find_learner_at(
    user_id: int, course_key: LearningContextKey, usage_key: UsageKey
) -> LearnerAtBlock:
    """Return what is known of a learner at a block; one statement, or two if no user has the id."""
    tombstone = RetiredLearner.objects.filter(pk=user_id)
    states = StudentModule.objects.filter(
        student_id=user_id, module_state_key=usage_key, course_id=course_key
    )
    row = (
        get_user_model()
        ._default_manager.filter(pk=user_id)
        .annotate(bridge_retired=Exists(tombstone), bridge_state=Subquery(states.values("state")))
        .values_list("bridge_retired", "bridge_state")
        .first()
    )
    if row is None:
        return LearnerAtBlock(exists=False, is_retired=tombstone.exists())
    is_retired, text = row
    return LearnerAtBlock(True, is_retired, waiting_keys(decode(text)))
