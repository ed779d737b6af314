"""Retire a learner's course grades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

from django.db.models import Model, QuerySet

from xqueue_bridge.course_grades.models import (
    GradeRecalculation,
    PersistentCourseGrade,
    PersistentSubsectionGrade,
    PersistentSubsectionGradeOverride,
    PersistentSubsectionGradeOverrideHistory,
)
from xqueue_bridge.data import RetirementMode
from xqueue_bridge.db.batches import id_batches
from xqueue_bridge.db.transactions import in_transaction

Retire: TypeAlias = Callable[[QuerySet[Model]], int]


def grades_to_retire(user_id: int, mode: RetirementMode) -> Counter[str]:
    """Return how many rows ``retire_grades`` would empty or delete."""
    return Counter(grades=sum(rows.count() for rows, _ in _parts(user_id, mode)))


def retire_grades(user_id: int, mode: RetirementMode) -> Iterator[Counter[str]]:
    """Empty the reasons of overrides, or delete all grades; yield after each batch.

    The reason that a teacher wrote is the only text about a learner in the grades' tables.
    """
    for rows, retire in _parts(user_id, mode):
        every = rows.model._default_manager
        for ids in id_batches(rows):
            work = partial(retire, every.filter(pk__in=ids))
            yield Counter(grades=in_transaction(work))


def _parts(user_id: int, mode: RetirementMode) -> list[tuple[QuerySet[Model], Retire]]:
    overrides = PersistentSubsectionGradeOverride.objects.filter(grade__user_id=user_id)
    past = PersistentSubsectionGradeOverrideHistory.objects.filter(user_id=user_id)
    if mode is RetirementMode.SCRUB:
        return [(rows.exclude(override_reason=""), _empty) for rows in (overrides, past)]
    # First what a recalculation locks, then what it may not insert again for a retired learner.
    tables = (GradeRecalculation, PersistentCourseGrade, PersistentSubsectionGrade)
    mine = [table._default_manager.filter(user_id=user_id) for table in tables]
    return [(rows, _delete) for rows in (overrides, past, *mine)]


def _empty(rows: QuerySet[Model]) -> int:
    return rows.update(override_reason="")


def _delete(rows: QuerySet[Model]) -> int:
    return rows.delete()[0]
