"""Write learners' StudentModule rows; every write uses this module.

A write locks the existing rows, changes them, inserts the missing ones, updates the others in
one statement, and writes their history in one more. Rows are locked in order, so concurrent
writers wait for each other and do not deadlock. Rows are read only after they are locked, so no
update is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from django.db import IntegrityError, transaction
from django.utils import timezone

from xqueue_bridge.data import SavedScore
from xqueue_bridge.db import bulk_insert
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.exceptions import XQueueBridgeError
from xqueue_bridge.learner_state.block_keys import BlockKey
from xqueue_bridge.learner_state.encoding import decode, encode, merge_texts
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.history.store import record, record_unreadable
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.row import RowKey, StudentModuleRow, lock_rows
from xqueue_bridge.lms.capa import waiting_keys
from xqueue_bridge.lms.users import user_exists
from xqueue_bridge.signals import score_saved, scores_saving, state_saved

#: Rows in one transaction of ``update_rows``.
CHUNK = 400
#: How often rows are read again that another process has inserted since the last read.
CLAIM_ROUNDS = 5

#: Changes a row's state or score in place; returns whether there is anything to store.
Change: TypeAlias = Callable[[BlockKey, StudentModuleRow], bool]

_WRITTEN = ("state", "grade", "max_grade", "version", "modified")


class UnknownLearner(XQueueBridgeError):
    """There is no such learner."""


@dataclass(frozen=True, slots=True)
class _Update:
    """The arguments of ``update_rows`` that are the same for all of its chunks."""

    user_id: int
    change: Change
    reason: Reason
    create: bool
    learner_is_known: bool


def update_rows(
    user_id: int,
    keys: Iterable[BlockKey],
    change: Change,
    reason: Reason,
    *,
    create: bool = False,
    learner_is_known: bool = False,
) -> int:
    """Change a learner's rows at ``keys`` and return how many were stored.

    ``create``: ``change`` also gets an empty row for each block key without one, and changed ones
    are inserted; an unknown learner then raises ``UnknownLearner``, unless ``learner_is_known``.
    ``change`` may be called more than once for a block key, with fresh rows, because a collision
    restarts the transaction. After several restarts the database's own error is raised.

    One transaction for each ``CHUNK`` of block keys: three statements, four if some rows are new
    and some exist, without BEGIN, COMMIT and savepoint; one more on SQLite, and one to check that
    a new row's learner exists. States too large for one statement take several.
    """
    update = _Update(user_id, change, reason, create, learner_is_known)
    written = 0
    for chunk in chunks(sorted(set(keys)), CHUNK):
        written += in_transaction(partial(_update_chunk, update, chunk))
    return written


def merge_fields(new: Iterable[tuple[BlockKey, Mapping[str, object]]]) -> Change:
    """Return the change that merges new fields over a row's old ones, in the given order.

    Raises TypeError or ValueError, before anything is written, if JSON cannot represent them.
    """
    texts: dict[BlockKey, str] = {}
    for key, fields in new:
        text = encode(fields)
        texts[key] = merge_texts(decode(texts[key]), text) if key in texts else text

    def change(key: BlockKey, row: StudentModuleRow) -> bool:
        row.merge(texts[key])
        return True

    return change


def drop_fields(fields: Collection[str] | None) -> Change:
    """Return the change that deletes fields, or all of them; rows without them stay unchanged."""

    def change(key: BlockKey, row: StudentModuleRow) -> bool:
        old = row.fields()
        kept = {} if fields is None else {n: v for n, v in old.items() if n not in fields}
        if len(kept) == len(old) and not (fields is None and row.unreadable):
            return False
        row.set_fields(kept)
        return True

    return change


def save_rows(
    rows: Sequence[StudentModuleRow], reason: Reason, *, only_if_higher: bool = False
) -> None:
    """Write changed rows that the transaction has locked, and new ones, with their history.

    Two statements for any number of rows and learners, three if some are new and some exist; two
    more on MySQL and MariaDB if some are new. A row whose state could not be read has an entry of
    its old text in the history. If scores differ, the score signals are sent, with
    ``only_if_higher`` as an argument. Raises IntegrityError, and inserts no row, if another
    process has inserted one of the new rows.
    """
    if any(row.unreadable is not None for row in rows):
        record_unreadable(rows)
    now = timezone.now()
    for row in rows:
        row.version += 1
        row.modified = max(now, row.modified or now)  # a row's time never decreases
        row.created = row.created or row.modified
    new = [row for row in rows if row.id is None]
    old = [row for row in rows if row.id is not None]
    if new:
        _insert(new)
    bulk_insert.insert(StudentModule, old, overwrite=_WRITTEN)
    record(rows, reason)
    changed = [row for row in rows if (row.grade, row.max_grade) != row.stored_score]
    if changed:
        _send_score_signals(changed, reason, only_if_higher=only_if_higher)


def insert_missing(key: RowKey) -> None:
    """Insert an empty row unless another process has inserted it meanwhile."""
    if not user_exists(key.user_id):
        raise UnknownLearner
    row = StudentModuleRow.of(key)
    row.created = row.modified = timezone.now()
    bulk_insert.insert(StudentModule, [row], keep=True)


def _update_chunk(update: _Update, blocks: Sequence[BlockKey]) -> int:
    keys = {RowKey(update.user_id, block): block for block in blocks}
    for claim_round in range(1, CLAIM_ROUNDS + 1):
        rows = lock_rows(keys)
        if update.create:
            rows = {key: rows.get(key) or StudentModuleRow.of(key) for key in keys}
        before = {key: row.state for key, row in rows.items()}
        changed = [row for key, row in rows.items() if update.change(keys[key], row)]
        has_new = any(row.id is None for row in changed)
        if has_new and not update.learner_is_known and not user_exists(update.user_id):
            raise UnknownLearner
        try:
            with transaction.atomic() if has_new else nullcontext():
                save_rows(changed, update.reason)
        except IntegrityError:
            if not has_new or claim_round == CLAIM_ROUNDS:
                raise
            continue
        if update.reason is not Reason.SCORE:
            _send_state_saved_on_commit([(row, before[row.key]) for row in changed])
        return len(changed)
    raise AssertionError("unreachable: the last round returns or raises")


def _insert(rows: Sequence[StudentModuleRow]) -> None:
    bulk_insert.insert(StudentModule, rows)
    if rows[0].id is None:  # MySQL does not return the inserted ids
        keys = [row.key for row in rows]
        found = lock_rows(keys)
        for key, row in zip(keys, rows, strict=True):
            row.id = found[key].id


def _send_state_saved_on_commit(rows: Iterable[tuple[StudentModuleRow, str | None]]) -> None:
    """Send ``state_saved`` after the commit for each state that waits for graders, or did before.

    ``rows``: each row with the text of its state before.
    """
    for row, before in rows:
        waiting, waited = _keys_of(row.state), _keys_of(before)
        if waiting or waited:
            send_signal = partial(
                state_saved.send_robust,
                sender=StudentModule,
                user_id=row.student_id,
                usage_key=row.module_state_key,
                waiting_keys=waiting,
                released_keys=waited - waiting,
            )
            transaction.on_commit(send_signal)


def _keys_of(state: str | None) -> frozenset[str]:
    # Most states wait for no grader; this check avoids parsing them.
    return waiting_keys(decode(state)) if "queuestate" in (state or "") else frozenset()


def _send_score_signals(
    rows: Sequence[StudentModuleRow], reason: Reason, *, only_if_higher: bool
) -> None:
    """Send ``scores_saving`` in the transaction, and ``score_saved`` after the commit."""
    versions = [None if row.max_grade is None else row.version for row in rows]
    scores = [
        SavedScore(row.student_id, row.course_id, row.module_state_key, version)
        for row, version in zip(rows, versions, strict=True)
    ]
    # Not robust: the rows that mark grades dirty are stored together with the scores, or neither.
    scores_saving.send(sender=StudentModule, scores=scores)
    for row, version in zip(rows, versions, strict=True):
        row.stored_score = (row.grade, row.max_grade)
        send_signal = partial(
            score_saved.send_robust,
            sender=StudentModule,
            user_id=row.student_id,
            course_key=row.course_id,
            usage_key=row.module_state_key,
            earned=row.grade,
            possible=row.max_grade,
            version=version,
            modified=row.modified,
            only_if_higher=only_if_higher,
            score_deleted=row.max_grade is None,
            grader_response=reason == Reason.REPLY,
        )
        transaction.on_commit(send_signal)
