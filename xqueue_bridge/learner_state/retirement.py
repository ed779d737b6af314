"""Retire a learner's states, history and fields, and store the tombstone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from django.db import router
from django.db.models import F, Model, QuerySet
from django.utils import timezone

from xqueue_bridge.data import RetirementMode
from xqueue_bridge.db.batches import id_batches
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.learner_state.fields.models import (
    XModuleStudentInfoField,
    XModuleStudentPrefsField,
)
from xqueue_bridge.learner_state.history import store
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.models import RetiredLearner, StudentModule
from xqueue_bridge.learner_state.scores.models import ScoreLedger

#: The state of a row whose state was deleted; a state that was never stored stays NULL.
_DELETED = "{}"
Rows: TypeAlias = QuerySet[Any]
#: Empties or deletes a batch of rows; returns how many.
Retire: TypeAlias = Callable[[Rows], int]
_FIELD_TABLES: tuple[type[Model], ...] = (XModuleStudentPrefsField, XModuleStudentInfoField)


def begin_retirement(user_id: int, mode: RetirementMode) -> None:
    """Store the tombstone of a learner; from now on no data is stored for them again."""
    now = timezone.now()
    _, is_new = RetiredLearner.objects.get_or_create(
        user_id=user_id, defaults={"mode": mode, "started_at": now}
    )
    if not is_new:
        RetiredLearner.objects.filter(pk=user_id).update(mode=mode, finished_at=None)


def end_retirement(user_id: int) -> None:
    """Mark the learner's retirement as finished."""
    RetiredLearner.objects.filter(pk=user_id).update(finished_at=timezone.now())


def count_late_reply(user_id: int) -> None:
    """Count a reply to a retired learner whose submission is not stored any more."""
    RetiredLearner.objects.filter(pk=user_id).update(late_replies=F("late_replies") + 1)


def unfinished_retirements() -> list[tuple[int, RetirementMode]]:
    """Return learner and mode of each retirement that was begun and not finished."""
    rows = RetiredLearner.objects.filter(finished_at=None).order_by("started_at")
    return [(row.user_id, RetirementMode(row.mode)) for row in rows]


def states_to_retire(user_id: int, mode: RetirementMode) -> Counter[str]:
    """Return how many states, history entries and fields a retirement would empty or delete."""
    narrow = _all if mode is RetirementMode.PURGE else _with_text
    return Counter(
        states=narrow(_states(user_id)).count(),
        history=sum(narrow(entries).count() for entries in _trails(user_id)),
        fields=sum(fields.count() for fields in _fields(user_id)),
        scores=_scores(user_id).count() if mode is RetirementMode.PURGE else 0,
    )


def retire_states(user_id: int, mode: RetirementMode) -> Iterator[Counter[str]]:
    """Empty or delete the learner's states with their history, and delete the fields.

    Yields after each batch the number of states, history entries and fields. Fields hold texts
    only, so they are deleted in either mode.
    """
    purge = mode is RetirementMode.PURGE
    narrow = _all if purge else _with_text
    retire_rows: Retire = _delete if purge else _empty_states
    retire_entries: Retire = _delete if purge else _empty_entries
    for trail in _trails(user_id):
        yield from _in_batches("history", narrow(trail), retire_entries)
    yield from _in_batches("states", narrow(_states(user_id)), retire_rows)
    for trail in _trails(user_id):  # entries that were written meanwhile
        yield from _in_batches("history", narrow(trail), retire_entries)
    for fields in _fields(user_id):
        yield from _in_batches("fields", fields, _delete)
    if purge:
        yield from _in_batches("scores", _scores(user_id), _delete)


def _states(user_id: int) -> Rows:
    return StudentModule.objects.filter(student_id=user_id)


def _trails(user_id: int) -> list[Rows]:
    """Return the learner's entries in all tables and databases, also those of deleted rows.

    If the extended table is in a separate database, the table of the same name in the states'
    database may still hold earlier entries.
    """
    here = router.db_for_write(StudentModule)
    tables = dict.fromkeys(
        (table, alias) for table in store.tables() for alias in (here, router.db_for_write(table))
    )
    return [
        table._default_manager.using(alias).filter(student_id=user_id) for table, alias in tables
    ]


def _fields(user_id: int) -> list[Rows]:
    return [table._default_manager.filter(student_id=user_id) for table in _FIELD_TABLES]


def _scores(user_id: int) -> Rows:
    """Return the learner's ledger rows, which hold numbers and hashes but no text."""
    return ScoreLedger.objects.filter(user_id=user_id)


def _in_batches(kind: str, rows: Rows, retire: Retire) -> Iterator[Counter[str]]:
    every = rows.model._default_manager.using(rows.db)
    for ids in id_batches(rows):
        work = partial(retire, every.filter(pk__in=ids))
        yield Counter({kind: in_transaction(work, using=rows.db)})


def _all(rows: Rows) -> Rows:
    return rows


def _with_text(rows: Rows) -> Rows:
    return rows.exclude(state=None).exclude(state=_DELETED)


def _delete(rows: Rows) -> int:
    # One DELETE: only history depends on these rows, and it is retired separately. QuerySet.delete
    # would send a signal for each row, and query the history of each.
    return rows._raw_delete(rows.db)


def _empty_entries(entries: Rows) -> int:
    return entries.update(state=_DELETED)


def _empty_states(rows: Rows) -> int:
    """Empty the states; keep the scores. The history entry's reason is "retire"."""
    rows.update(state=_DELETED, version=F("version") + 1, modified=timezone.now())
    emptied = list(rows.order_by("pk"))
    store.record(emptied, Reason.RETIRE)
    return len(emptied)
